#include "image/curl_library.h"

#include <dlfcn.h>

#include <array>

#include "base/error.h"

namespace berth::image {
namespace {

void* open_library() {
    // The second name is Debian's GnuTLS build, which has the same interface.
    constexpr std::array<const char*, 2> kNames{"libcurl.so.4", "libcurl-gnutls.so.4"};
    for (const char* name : kNames)
        if (void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
    throw Error(ErrorKind::unsupported,
                "registries cannot be reached: libcurl.so.4 cannot be loaded (install libcurl4)");
}

template <typename Function>
void bind(void* library, Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr)
        throw Error(ErrorKind::unsupported, "libcurl.so.4 has no function {}", name);
}

CurlLibrary load() {
    void* const library = open_library();
    CurlLibrary curl{};
    bind(library, curl.global_init, "curl_global_init");
    bind(library, curl.easy_init, "curl_easy_init");
    bind(library, curl.easy_cleanup, "curl_easy_cleanup");
    bind(library, curl.easy_reset, "curl_easy_reset");
    bind(library, curl.easy_perform, "curl_easy_perform");
    bind(library, curl.easy_strerror, "curl_easy_strerror");
    bind(library, curl.easy_setopt, "curl_easy_setopt");
    bind(library, curl.easy_getinfo, "curl_easy_getinfo");
    bind(library, curl.slist_append, "curl_slist_append");
    bind(library, curl.slist_free_all, "curl_slist_free_all");
    if (const CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
        throw Error(ErrorKind::internal, "starting libcurl: {}", curl.easy_strerror(code));
    return curl;
}

}  // namespace

const CurlLibrary& CurlLibrary::get() {
    static const CurlLibrary kLibrary = load();
    return kLibrary;
}

}  // namespace berth::image
