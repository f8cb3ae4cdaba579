package pickle

import "strings"

// Which names a pickle may mention, and which it may call. Nothing is ever run, so this protects no one's
// machine from us; it tells the user that a file is hostile (and would run code in Python), and it keeps
// data that we do not understand from being taken for something that we do.

// renamed maps Python 2 modules, which pickles of protocol 2 and below still name, to those of Python 3.
var renamed = map[string]string{
	"__builtin__": "builtins",
	"copy_reg":    "copyreg",
	"exceptions":  "builtins",
	"UserDict":    "collections",
}

// hostile lists modules that no model needs, and that every exploit does. The first part of the dotted
// name decides. Naming one is refused, called or not: Python would import it.
var hostile = set("os posix nt posixpath ntpath subprocess commands sys importlib imp runpy pty socket ssl shutil ctypes _ctypes " +
	"cffi webbrowser codeop pdb bdb timeit cProfile glob fileinput multiprocessing asyncio pickle _pickle cPickle dill cloudpickle " +
	"marshal shelve requests urllib urllib2 httplib ftplib smtplib telnetlib paramiko pip setuptools distutils pkgutil pydoc " +
	"zipimport zipfile tarfile sqlite3 xmlrpc idlelib ensurepip")

// harmlessBuiltins are the only names of module builtins that may be mentioned.
var harmlessBuiltins = set("set frozenset dict list tuple bytes bytearray str unicode int long float complex bool slice range xrange " +
	"object NoneType Ellipsis NotImplemented Exception ValueError KeyError TypeError RuntimeError")

// callable lists functions and classes that pickles of models and of training state call, and whose
// call is kept as an inert Object.
var callable = set("collections.OrderedDict collections.defaultdict collections.deque collections.Counter " +
	"copyreg._reconstructor copyreg.__newobj__ _codecs.encode " +
	"builtins.set builtins.frozenset builtins.dict builtins.list builtins.tuple builtins.bytes builtins.bytearray builtins.str " +
	"builtins.int builtins.float builtins.complex builtins.bool builtins.slice builtins.range builtins.xrange builtins.object " +
	"datetime.datetime datetime.date datetime.time datetime.timedelta datetime.timezone decimal.Decimal fractions.Fraction uuid.UUID " +
	"pathlib.Path pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath " +
	"pathlib._local.PosixPath pathlib._local.WindowsPath argparse.Namespace " +
	"numpy.dtype numpy.ndarray numpy.core.multiarray._reconstruct numpy.core.multiarray.scalar " +
	"numpy._core.multiarray._reconstruct numpy._core.multiarray.scalar numpy._core.numeric._frombuffer numpy.core.numeric._frombuffer " +
	"numpy.random._pickle.__randomstate_ctor numpy.random._pickle.__generator_ctor numpy.random._pickle.__bit_generator_ctor " +
	"torch.Size torch.device torch.Tensor torch.nn.parameter.Parameter " +
	"torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3 " +
	"torch._utils._rebuild_parameter torch._utils._rebuild_parameter_with_state " +
	"torch._utils._rebuild_qtensor torch._utils._rebuild_sparse_tensor torch._utils._rebuild_nested_tensor " +
	"torch._utils._rebuild_meta_tensor_no_storage torch._utils._rebuild_device_tensor_from_numpy torch._utils._rebuild_device_tensor_from_cpu_tensor " +
	"torch._tensor._rebuild_from_type_v2 torch.storage._load_from_bytes torch.serialization._get_layout")

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// mayName says whether a pickle may mention a global.
func mayName(g *Global) bool {
	top, _, _ := strings.Cut(g.Module, ".")
	if top == "builtins" {
		return g.Module == "builtins" && harmlessBuiltins[g.Name]
	}
	return !hostile[top]
}

// mayCall says whether a pickle may call a global by REDUCE, OBJ or INST.
func mayCall(g *Global, also func(module, name string) bool) bool {
	return callable[g.String()] || also != nil && also(g.Module, g.Name)
}
