// Which rows of an embedding look trained, by their length and by how close they are to rows nobody uses.
// S. Land, M. Bartolo: "Fishing for Magikarp: Automatically Detecting Under-trained Tokens in Large Language Models",
// arXiv:2405.05417.
//
// Suspect are rows that are known to be unused; with a head of its own, rows of the embedding whose norm is below the
// 0.01 quantile; rows of the embedding, and of the head, whose cosine with the mean of the unused rows is above both 0.5
// and the 0.99 quantile. Quantiles interpolate linearly.
#pragma once

#include <optional>

#include "vectors.h"

namespace sinter {

/// @returns by row of the embedding: 1 where it looks trained.
std::vector<uint8_t> well_trained(Team& team, const StoredRows& embedding, const std::optional<StoredRows>& head,
                                  const std::vector<uint32_t>& unused);

}  // namespace sinter
