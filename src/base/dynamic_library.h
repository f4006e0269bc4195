// Functions of a library that is loaded when it is needed first.
#pragma once

#include <dlfcn.h>

#include "base/error.h"

namespace berth {

/// Throws Error{unsupported} for a function that the library, which has the name `shown`, lacks.
template <typename Function>
void bind_function(void* library, const char* shown, Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr)
        throw Error(ErrorKind::unsupported, "{} has no function {}", shown, name);
}

}  // namespace berth
