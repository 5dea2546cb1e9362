// From JavaScript values to a Transplant. The types are those of src/native.ts. N-API glue only.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "../transplant/transplant.h"
#include "handles.h"

namespace sinter {

/// The elements of a Uint32Array.
std::vector<uint32_t> indices(const Napi::Value& value, const char* name);

/// A matrix of a mapped file; its bytes are checked against the file's.
std::pair<StoredRows, std::shared_ptr<Source>> read_rows(const Napi::Object& from, const Handles& handles);

std::shared_ptr<Transplant> read_transplant(const Napi::Object& from, const Handles& handles);

}  // namespace sinter
