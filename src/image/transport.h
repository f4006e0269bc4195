// One HTTP exchange over libcurl, blocking the calling thread. Reading follows redirects; the
// Authorization header goes to the first host only. Thread-safe: each exchange takes a handle from
// a pool, so that connections live on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "image/registry_settings.h"

namespace berth::image {

enum class TlsCheck { verify, accept_any };

/// How one host is spoken to, from its directory in certs.d.
struct HostTls final {
    TlsCheck check = TlsCheck::verify;
    std::string directory;    // where its certificates lie or would lie; empty: nowhere
    std::string authorities;  // PEM, system's included; empty: the system's
    std::string certificate_file;
    std::string key_file;
};
/// Reads HOST's directory. Throws Error when a file there cannot be read.
HostTls read_host_tls(const std::vector<std::string>& directories, const std::string& host,
                      TlsCheck check);

struct HttpRequest final {
    std::string url;
    std::vector<std::string> headers;
    std::string authorization;  // value of the header; empty: none
    std::string method = "GET";
    std::optional<std::string> body;
    /// Instead of `body`: fills the span and says how much, 0 at the end; sent chunked.
    std::function<std::size_t(std::span<char>)> upload;
    std::size_t body_limit = 1U << 20;
    /// Takes the body of a 2xx answer piece by piece, instead of gathering it.
    std::function<void(long status, std::string_view)> on_body;
};

struct HttpResponse final {
    long status = 0;
    std::map<std::string, std::string>
        headers;  // names in lower case; repeated ones joined by ", "
    std::string body;
};

class Transport final {
  public:
    /// Borrows the settings.
    explicit Transport(const RegistrySettings& settings) : settings_(settings) {}
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    /// Any status is an answer. Throws Error{unavailable} when there is none or it is cut short,
    /// Error{cancelled} on stop, and what on_body throws.
    HttpResponse exchange(const HttpRequest& request, const HostTls& tls, std::stop_token stop);

  private:
    void* take_handle();
    void return_handle(void* handle);

    const RegistrySettings& settings_;
    std::mutex mutex_;  // guards idle_
    std::vector<void*> idle_;
};

/// "Get", as Docker's texts begin.
std::string shown_method(const HttpRequest& request);
std::string url_encode(std::string_view text);

}  // namespace berth::image
