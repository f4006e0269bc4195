#include "image/transport.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/curl_library.h"
#include "image/proxy.h"

namespace berth::image {
namespace {

constexpr long kMaxRedirects = 10;
constexpr int kWriteFactor = 5;
constexpr std::size_t kMaxHeaderBytes = 256U << 10;
constexpr std::size_t kMaxPem = 4U << 20;

/// What one exchange gathers; libcurl's callbacks get a pointer to it.
struct Exchange final {
    const HttpRequest& request;
    std::stop_token stop;
    HttpResponse response;
    std::size_t header_bytes = 0;
    std::exception_ptr failure;
};

void take_header(Exchange& exchange, std::string_view line) {
    exchange.header_bytes += line.size();
    if (exchange.header_bytes > kMaxHeaderBytes)
        throw Error(ErrorKind::invalid, "{}: the answer's headers are too large",
                    exchange.request.url);
    if (line.starts_with("HTTP/")) {  // a new answer: after a redirect or 100 Continue
        exchange.response = {};
        const std::size_t space = std::min(line.find(' '), line.size());
        exchange.response.status = std::strtol(line.substr(space).data(), nullptr, 10);
        return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), ::tolower);
    std::string& value = exchange.response.headers[name];
    if (!value.empty()) value += ", ";
    value += trimmed(line.substr(colon + 1), " \t\r\n");
}

void take_body(Exchange& exchange, std::string_view bytes) {
    const long status = exchange.response.status;
    if (exchange.request.on_body && status >= 200 && status < 300) {
        exchange.request.on_body(status, bytes);
        return;
    }
    if (exchange.response.body.size() + bytes.size() > exchange.request.body_limit)
        throw Error(ErrorKind::invalid, "{}: the answer is larger than {} bytes",
                    exchange.request.url, exchange.request.body_limit);
    exchange.response.body += bytes;
}

/// Runs `take` for libcurl, which must not see exceptions: 0 makes it give up.
template <auto Take>
std::size_t guarded(char* bytes, std::size_t size, std::size_t count, void* user) {
    auto& exchange = *static_cast<Exchange*>(user);
    try {
        Take(exchange, std::string_view(bytes, size * count));
        return size * count;
    } catch (...) {
        exchange.failure = std::current_exception();
        return 0;
    }
}

std::size_t give_body(char* into, std::size_t size, std::size_t count, void* user) {
    auto& exchange = *static_cast<Exchange*>(user);
    try {
        return exchange.request.upload(std::span(into, size * count));
    } catch (...) {
        exchange.failure = std::current_exception();
        return CURL_READFUNC_ABORT;
    }
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Exchange*>(user)->stop.stop_requested() ? 1 : 0;
}

class HeaderList final {
  public:
    explicit HeaderList(const CurlLibrary& curl) : curl_(curl) {}
    ~HeaderList() { curl_.slist_free_all(list_); }
    HeaderList(const HeaderList&) = delete;
    HeaderList& operator=(const HeaderList&) = delete;
    void add(const std::string& line) { list_ = curl_.slist_append(list_, line.c_str()); }
    curl_slist* get() const { return list_; }

  private:
    const CurlLibrary& curl_;
    curl_slist* list_ = nullptr;
};

/// GnuTLS builds of libcurl take authorities from a file only: the result keeps that file.
UniqueFd set_authorities(const CurlLibrary& curl, CURL* handle, const std::string& authorities) {
    curl_blob blob{.data = const_cast<char*>(authorities.data()),
                   .len = authorities.size(),
                   .flags = CURL_BLOB_COPY};
    if (curl.easy_setopt(handle, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK) return {};
    UniqueFd file(::memfd_create("authorities", MFD_CLOEXEC));
    if (!file) throw_errno("making a file of certificates in memory");
    write_all(file, authorities);
    const std::string path = fmt::format("/proc/self/fd/{}", file.get());
    curl.easy_setopt(handle, CURLOPT_CAINFO, path.c_str());
    return file;
}

UniqueFd set_tls(const CurlLibrary& curl, CURL* handle, const HostTls& tls) {
    curl.easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (tls.check == TlsCheck::accept_any) {
        curl.easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
        curl.easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!tls.certificate_file.empty()) {
        curl.easy_setopt(handle, CURLOPT_SSLCERT, tls.certificate_file.c_str());
        curl.easy_setopt(handle, CURLOPT_SSLKEY, tls.key_file.c_str());
    }
    if (tls.authorities.empty()) return {};
    return set_authorities(curl, handle, tls.authorities);
}

void set_protocols(const CurlLibrary& curl, CURL* handle, const std::string& url) {
    // Never from https down to http: a token or a layer would travel in the open.
    const bool secure = url.starts_with("https:");
    const bool known = curl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                       curl.easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR,
                                        secure ? "https" : "http,https") == CURLE_OK;
    if (known) return;
    // libcurl before 7.85 knows only the bit sets.
    const long both = CURLPROTO_HTTP | CURLPROTO_HTTPS;
    if (curl.easy_setopt(handle, CURLOPT_PROTOCOLS, both) != CURLE_OK ||
        curl.easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS, secure ? CURLPROTO_HTTPS : both) !=
            CURLE_OK)
        throw Error(ErrorKind::unsupported, "libcurl cannot limit redirects");
}

void set_route(const CurlLibrary& curl, CURL* handle, const RegistrySettings& settings,
               const std::string& url) {
    set_protocols(curl, handle, url);
    curl.easy_setopt(handle, CURLOPT_PROXY, proxy_for(settings, url).c_str());
    curl.easy_setopt(handle, CURLOPT_NOPROXY, no_proxy_list(settings).c_str());
    curl.easy_setopt(handle, CURLOPT_CONNECTTIMEOUT,
                     static_cast<long>(settings.connect_timeout.count()));
    curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
    curl.easy_setopt(handle, CURLOPT_USERAGENT, settings.user_agent.c_str());
}

bool is_reading(const HttpRequest& request) {
    return request.method == "GET" || request.method == "HEAD";
}

void set_method(const CurlLibrary& curl, CURL* handle, Exchange& exchange,
                const RegistrySettings& settings) {
    const HttpRequest& request = exchange.request;
    curl.easy_setopt(handle, CURLOPT_FOLLOWLOCATION, is_reading(request) ? 1L : 0L);
    curl.easy_setopt(handle, CURLOPT_MAXREDIRS, kMaxRedirects);
    // A registry that stores what it was sent is silent meanwhile.
    const auto patience = settings.stall_timeout * (is_reading(request) ? 1 : kWriteFactor);
    curl.easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(patience.count()));
    if (request.method == "HEAD") curl.easy_setopt(handle, CURLOPT_NOBODY, 1L);
    if (request.body) {
        curl.easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                         static_cast<curl_off_t>(request.body->size()));
        curl.easy_setopt(handle, CURLOPT_POSTFIELDS, request.body->data());
    } else if (request.upload) {
        curl.easy_setopt(handle, CURLOPT_UPLOAD, 1L);
        curl.easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
        curl.easy_setopt(handle, CURLOPT_READFUNCTION, &give_body);
        curl.easy_setopt(handle, CURLOPT_READDATA, &exchange);
    }
    if (!is_reading(request))
        curl.easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void set_callbacks(const CurlLibrary& curl, CURL* handle, Exchange& exchange, char* error_text) {
    using Callback = std::size_t (*)(char*, std::size_t, std::size_t, void*);
    const Callback on_header = guarded<&take_header>;
    const Callback on_body = guarded<&take_body>;
    curl.easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    curl.easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
    curl.easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
    curl.easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl.easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &on_progress);
    curl.easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
    curl.easy_setopt(handle, CURLOPT_ERRORBUFFER, error_text);
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string tls_failure_text(CURLcode code, std::string_view said, const HostTls& tls) {
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        std::string result = fmt::format("tls: failed to verify certificate: {}", said);
        if (!tls.directory.empty())
            result += fmt::format(" (a private authority's certificate belongs into {}/ca.crt)",
                                  tls.directory);
        return result;
    }
    if (code == CURLE_SSL_CONNECT_ERROR &&
        (contains(said, "wrong version number") || contains(said, "unexpected TLS packet")))
        return "http: server gave HTTP response to HTTPS client";
    // The refusal of a client without certificate arrives behind the handshake (TLS 1.3): libcurl
    // finds a broken connection, or trips over it when it asks for the peer's name.
    std::string result(contains(said, "getpeername") ? "the server closed the connection" : said);
    const bool is_broken = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CLIENTCERT ||
                           code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                           code == CURLE_GOT_NOTHING;
    if (is_broken && tls.certificate_file.empty() && !tls.directory.empty())
        result += fmt::format(
            " (a client certificate, if it wants one, belongs into "
            "{}/client.cert and client.key)",
            tls.directory);
    return result;
}

/// "host:port" of an URL.
std::string address_of(std::string_view url) {
    const bool secure = url.starts_with("https:");
    url.remove_prefix(std::min(url.size(), url.find("://") + 3));
    const std::string host(url.substr(0, url.find('/')));
    const bool has_port = host.rfind(':') != std::string::npos && !host.ends_with(']');
    return has_port ? host : host + (secure ? ":443" : ":80");
}

/// Go's words for a server that is not reached: scripts look for "no such host" and "connection
/// refused". Nothing for other failures.
std::string dial_failure_text(const CurlLibrary& curl, CURL* handle, CURLcode code,
                              const std::string& url) {
    const std::string address = address_of(url);
    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return fmt::format("dial tcp: lookup {}: no such host",
                           address.substr(0, address.rfind(':')));
    long number = 0;
    curl.easy_getinfo(handle, CURLINFO_OS_ERRNO, &number);
    if (code != CURLE_COULDNT_CONNECT || number == 0) return "";
    std::string words = errno_text(static_cast<int>(number));
    words.front() = static_cast<char>(::tolower(words.front()));
    return fmt::format("dial tcp {}: connect: {}", address, words);
}

/// Docker's words where users know them, and what to do.
std::string failure_text(CURLcode code, const char* text, const Exchange& exchange,
                         const HostTls& tls) {
    // With a status, from the server or a proxy, the handshake is not what failed.
    if (!exchange.request.url.starts_with("https:") || exchange.response.status != 0) return text;
    return tls_failure_text(code, text, tls);
}

std::string read_pem(const std::filesystem::path& path) {
    return read_file(path.string(), kMaxPem) + "\n";
}

std::string system_authorities() {
    for (const char* path :
         {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
          "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"})
        if (auto text = read_file_if_exists(path, kMaxPem)) return *std::move(text) + "\n";
    return "";
}

std::vector<std::filesystem::path> files_in(const std::string& directory) {
    std::error_code error;
    std::vector<std::filesystem::path> result;
    for (std::filesystem::directory_iterator file(directory, error), end; !error && file != end;
         file.increment(error))
        result.push_back(file->path());
    if (error) throw Error::from_errno(error.value(), "reading " + directory);
    std::ranges::sort(result);
    return result;
}

/// The other half of a client's key pair. Throws Error with Docker's text.
std::string need_beside(std::filesystem::path file, const char* extension, std::string_view half,
                        std::string_view other) {
    const std::string name = file.string();
    const std::string result = file.replace_extension(extension).string();
    if (!exists(result))
        throw Error(ErrorKind::invalid, "missing {} {} for {} {}", half, result, other, name);
    return result;
}

}  // namespace

std::vector<std::string> RegistrySettings::default_certificate_directories() {
    std::vector<std::string> result;
    const char* config = ::secure_getenv("XDG_CONFIG_HOME");
    const char* home = ::secure_getenv("HOME");
    if (config != nullptr && *config == '/') {
        result.push_back(std::string(config) + "/docker/certs.d");
    } else if (home != nullptr && *home == '/') {
        result.push_back(std::string(home) + "/.config/docker/certs.d");
    }
    result.emplace_back("/etc/docker/certs.d");
    return result;
}

HostTls read_host_tls(const std::vector<std::string>& directories, const std::string& host,
                      TlsCheck check) {
    HostTls result{
        .check = check, .directory = "", .authorities = "", .certificate_file = "", .key_file = ""};
    for (const std::string& directory : directories) {
        const std::string path = directory + "/" + host;
        if (result.directory.empty()) result.directory = path;
        std::error_code ignored;
        if (!std::filesystem::is_directory(path, ignored)) continue;
        result.directory = path;
        std::string extra;
        for (const std::filesystem::path& file : files_in(path)) {
            if (file.extension() == ".crt") extra += read_pem(file);
            if (file.extension() == ".key") need_beside(file, ".cert", "client certificate", "key");
            if (file.extension() != ".cert") continue;
            result.key_file = need_beside(file, ".key", "key", "client certificate");
            result.certificate_file = file.string();
        }
        if (!extra.empty()) result.authorities = system_authorities() + extra;
        break;
    }
    return result;
}

Transport::~Transport() {
    for (void* handle : idle_) CurlLibrary::get().easy_cleanup(handle);
}

void* Transport::take_handle() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            void* handle = idle_.back();
            idle_.pop_back();
            return handle;
        }
    }
    void* handle = CurlLibrary::get().easy_init();
    if (handle == nullptr) throw Error(ErrorKind::internal, "libcurl gives no handle");
    return handle;
}

void Transport::return_handle(void* handle) {
    CurlLibrary::get().easy_reset(handle);
    const std::lock_guard lock(mutex_);
    idle_.push_back(handle);
}

std::string shown_method(const HttpRequest& request) {
    std::string result = request.method;
    std::transform(result.begin() + 1, result.end(), result.begin() + 1, ::tolower);
    return result;
}

HttpResponse Transport::exchange(const HttpRequest& request, const HostTls& tls,
                                 std::stop_token stop) {
    const CurlLibrary& curl = CurlLibrary::get();
    Exchange exchange{
        .request = request, .stop = stop, .response = {}, .header_bytes = 0, .failure = nullptr};
    HeaderList headers(curl);
    for (const std::string& header : request.headers) headers.add(header);
    // No waiting for "100 Continue", which many registries never say.
    if (!is_reading(request)) headers.add("Expect:");
    if (request.upload) headers.add("Transfer-Encoding: chunked");
    if (!request.authorization.empty()) headers.add("Authorization: " + request.authorization);
    std::array<char, CURL_ERROR_SIZE> error_text{};

    const auto give_back = [this](void* used) { return_handle(used); };
    const std::unique_ptr<void, decltype(give_back)> handle(take_handle(), give_back);
    curl.easy_setopt(handle.get(), CURLOPT_URL, request.url.c_str());
    set_route(curl, handle.get(), settings_, request.url);
    const UniqueFd authorities = set_tls(curl, handle.get(), tls);
    set_callbacks(curl, handle.get(), exchange, error_text.data());
    curl.easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    set_method(curl, handle.get(), exchange, settings_);
    const CURLcode code = curl.easy_perform(handle.get());
    if (exchange.failure) std::rethrow_exception(exchange.failure);
    if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "the transfer was cancelled");
    if (code != CURLE_OK) {
        const char* text = error_text[0] != '\0' ? error_text.data() : curl.easy_strerror(code);
        const std::string dial = proxy_for(settings_, request.url).empty()
                                     ? dial_failure_text(curl, handle.get(), code, request.url)
                                     : "";
        if (!dial.empty())
            throw Error(ErrorKind::unavailable, "{} \"{}\": {}", shown_method(request), request.url,
                        dial);
        throw Error(ErrorKind::unavailable, "{} \"{}\": {}", shown_method(request), request.url,
                    failure_text(code, text, exchange, tls));
    }
    return std::move(exchange.response);
}

std::string url_encode(std::string_view text) {
    std::string result;
    for (const unsigned char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        result += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
    }
    return result;
}

}  // namespace berth::image
