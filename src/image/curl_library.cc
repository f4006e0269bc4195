#include "image/curl_library.h"

#include <array>

#include "base/dynamic_library.h"

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

CurlLibrary load() {
    void* const library = open_library();
    CurlLibrary curl{};
    const auto bind = [library](auto& function, const char* name) {
        bind_function(library, "libcurl.so.4", function, name);
    };
    bind(curl.global_init, "curl_global_init");
    bind(curl.easy_init, "curl_easy_init");
    bind(curl.easy_cleanup, "curl_easy_cleanup");
    bind(curl.easy_reset, "curl_easy_reset");
    bind(curl.easy_perform, "curl_easy_perform");
    bind(curl.easy_strerror, "curl_easy_strerror");
    bind(curl.easy_setopt, "curl_easy_setopt");
    bind(curl.easy_getinfo, "curl_easy_getinfo");
    bind(curl.slist_append, "curl_slist_append");
    bind(curl.slist_free_all, "curl_slist_free_all");
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
