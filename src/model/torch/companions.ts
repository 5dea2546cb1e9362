import { OpaqueValue, PickleGlobal } from "./pickle-values.ts";

/** What training programs keep beside a model and what can hold no weight: PyTorch's own safe reader takes most of it. */
const HARMLESS: readonly string[] = [
  "collections.Counter",
  ...["date", "datetime", "time", "timedelta", "timezone"].map((name) => `datetime.${name}`),
  ...["Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"].flatMap((name) =>
    ["pathlib", "pathlib._local"].map((module) => `${module}.${name}`),
  ),
  "torch.device",
  "torch.serialization._get_layout",
  "torch.per_tensor_affine",
  "torch.per_tensor_symmetric",
  "torch.per_channel_affine",
  "torch.per_channel_symmetric",
  "torch.per_channel_affine_float_qparams",
  "numpy.dtype",
  "numpy.core.multiarray.scalar",
  "numpy._core.multiarray.scalar",
  "_codecs.encode",
  ...["builtins", "__builtin__"].flatMap((module) =>
    ["set", "frozenset", "bytearray", "complex", "int", "long", "float", "bool", "str", "unicode", "bytes"].map(
      (name) => `${module}.${name}`,
    ),
  ),
];

/** How Python writes objects of classes, and NumPy its arrays: they stand for an object, whose class is named as well. */
const MAKERS: readonly string[] = [
  "copyreg._reconstructor",
  "copy_reg._reconstructor",
  "numpy.core.multiarray._reconstruct",
  "numpy._core.multiarray._reconstruct",
  ...["builtins", "__builtin__"].flatMap((module) =>
    ["dict", "list", "tuple", "object"].map((name) => `${module}.${name}`),
  ),
];

/**
 * Packages whose names in a file are a reason not to trust it: Python's own that act on the machine, and those of
 * PyTorch that load or compile. Nothing of any package is ever run: the list only tells what is left out with a warning
 * from what is refused.
 */
const ACTING = new Set(
  `
  __builtin__ _ctypes _io _operator _pickle _posixsubprocess _socket _thread aiohttp antigravity asyncio
  atexit bdb builtins cPickle cProfile cloudpickle code codecs codeop commands concurrent ctypes dill distutils
  ensurepip fileinput fsspec ftplib functools gc glob http httpx imp importlib inspect io jax joblib linecache logging
  mailbox marshal multiprocessing nt operator os pdb pickle pickletools pip pkgutil platform popen2 poplib posix
  posixpath profile pty pydoc requests resource runpy select setuptools shelve shlex shutil signal site smtplib socket
  socketserver sqlite3 ssl subprocess sys sysconfig tarfile telnetlib tempfile threading timeit torch torchvision trace
  traceback types urllib uuid venv webbrowser weakref xml xmlrpc zipfile zipimport
  `
    .trim()
    .split(/\s+/),
);

/** What of such packages is plain objects, which training programs keep: layers, losses, optimizers. */
const PLAIN = /^(torch\.(nn\.modules|optim)(\.\w+)+|functools\.partial|types\.SimpleNamespace|uuid\.UUID)$/;
/** A class or function of a module's own; none of what lies inside one. */
const NAME = /^[A-Za-z]\w*$/;
const MODULE = /^(__main__|[A-Za-z]\w*(\.\w+)*)$/;

/** By full name. */
export const COMPANIONS: readonly PickleGlobal[] = [
  ...HARMLESS.map((name) => new PickleGlobal(name, { opaque: new OpaqueValue() })),
  ...MAKERS.map((name) => new PickleGlobal(name, { opaque: new OpaqueValue(name) })),
];

/**
 * A class or function that a state dict does not need, standing for nothing but its presence.
 * @returns undefined where it is none that a training program keeps objects of.
 */
export function foreignGlobal(module: string, name: string): PickleGlobal | undefined {
  const full = `${module}.${name}`;
  const [root = ""] = module.split(".");
  if (!MODULE.test(module) || !NAME.test(name) || (ACTING.has(root) && !PLAIN.test(full))) return undefined;
  return new PickleGlobal(full, { opaque: new OpaqueValue(full) });
}
