// libcurl, loaded at the first use: an engine that never pulled does not map it (nor its TLS
// library). The table stays for the life of the process, since libcurl cannot be unloaded safely.
#pragma once

// CURLOPT_PROTOCOLS is all that libcurl before 7.85 has.
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>
// curl.h wraps these in type-checking macros, which would hide the members below.
#undef curl_easy_setopt
#undef curl_easy_getinfo

namespace berth::image {

struct CurlLibrary final {
    decltype(&::curl_global_init) global_init;
    decltype(&::curl_easy_init) easy_init;
    decltype(&::curl_easy_cleanup) easy_cleanup;
    decltype(&::curl_easy_reset) easy_reset;
    decltype(&::curl_easy_perform) easy_perform;
    decltype(&::curl_easy_strerror) easy_strerror;
    decltype(&::curl_easy_setopt) easy_setopt;
    decltype(&::curl_easy_getinfo) easy_getinfo;
    decltype(&::curl_slist_append) slist_append;
    decltype(&::curl_slist_free_all) slist_free_all;

    /// Thread-safe. Throws Error{unsupported} saying what to install.
    static const CurlLibrary& get();
};

}  // namespace berth::image
