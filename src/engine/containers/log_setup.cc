#include "engine/containers/log_setup.h"

#include <netdb.h>

#include <charconv>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "engine/model/log_options.h"
#include "engine/model/syslog_options.h"
#include "shim/log_options.h"

namespace berth::engine {

namespace {

using Options = std::map<std::string, std::string>;

std::string option(const Options& options, const std::string& key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

/// Sizes as Docker's driver `local` has them; `prefix` is "" or "cache-".
void limit_local(shim::LogConfig& log, const Options& options, const std::string& prefix) {
    log.driver = "local";
    const std::string size = option(options, prefix + "max-size");
    log.max_size = size_from(size.empty() ? "20m" : size);
    log.max_file = shim::log_file_count(options, prefix + "max-file", 5);
    log.compress = log.max_file > 1 && option(options, prefix + "compress") != "false";
}

/// "udp:ADDRESS:PORT" of the first address that the name has.
std::string resolve(const model::SyslogAddress& address) {
    addrinfo hints{};
    hints.ai_socktype = address.network == "udp" ? SOCK_DGRAM : SOCK_STREAM;
    addrinfo* found = nullptr;
    const int result = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
    if (result != 0)
        throw Error(ErrorKind::unavailable,
                    "failed to initialize logging driver: dial {}: lookup {}: {}", address.network,
                    address.host, gai_strerror(result));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
    char host[NI_MAXHOST];
    getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    const char* form = found->ai_family == AF_INET6 ? "{}:[{}]:{}" : "{}:{}:{}";
    return fmt::format(fmt::runtime(form), address.network, host, address.port);
}

std::string syslog_path(const model::SyslogAddress& address) {
    if (address.network.starts_with("unix")) return address.network + ":" + address.host;
    if (!address.network.empty()) return resolve(address);
    for (const char* path : {"/dev/log", "/var/run/syslog", "/var/run/log"})
        if (exists(path)) return std::string("unixgram:") + path;
    throw Error(ErrorKind::unavailable,
                "failed to initialize logging driver: Unix syslog delivery error");
}

void describe_syslog(shim::LogConfig& log, const model::ContainerRecord& record,
                     const Options& options) {
    const model::SyslogAddress address =
        model::parse_syslog_address(option(options, "syslog-address"));
    log.path = syslog_path(address);
    const std::string tag = option(options, "tag");
    log.syslog = {model::syslog_facility(option(options, "syslog-facility")),
                  option(options, "syslog-format"),
                  model::expand_tag(tag.empty() ? "{{.ID}}" : tag, record)};
    // As with Docker the option alone says it, whatever its value.
    log.tls = {address.host, !options.contains("syslog-tls-skip-verify"),
               option(options, "syslog-tls-ca-cert"), option(options, "syslog-tls-cert"),
               option(options, "syslog-tls-key")};
}

bool is_copied(const model::LogConfig& log) {
    return log.type == "syslog" && option(log.options, "cache-disabled") != "true";
}

std::string copy_path(const std::string& directory) { return directory + "/container-cached.log"; }

}  // namespace

std::int64_t size_from(const std::string& text) {
    if (text.empty() || text == "-1") return -1;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    std::string unit(end, text.data() + text.size());
    for (char& c : unit) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (!unit.empty() && unit.back() == 'b') unit.pop_back();
    const int shift = unit.empty()  ? 0
                      : unit == "k" ? 10
                      : unit == "m" ? 20
                      : unit == "g" ? 30
                                    : -1;
    if (error != std::errc() || shift < 0 || value <= 0 || value > (1LL << 32))
        throw Error(ErrorKind::invalid, "invalid size: '{}'", text);
    return value << shift;
}

shim::LogConfig log_config(const model::ContainerRecord& record, const std::string& directory) {
    const Options& options = record.host_config.log_config.options;
    shim::LogConfig log;
    log.driver = record.host_config.log_config.type;
    if (const auto files = log_files(record, directory)) log.path = files->path;
    if (log.driver == "json-file") {
        log.max_size = size_from(option(options, "max-size"));
        log.max_file = shim::log_file_count(options, "max-file", 1);
        log.compress = option(options, "compress") == "true";
        log.attributes = model::log_attributes(record.config, record.host_config.log_config);
        if (const std::string tag = option(options, "tag"); !tag.empty())
            log.attributes["tag"] = model::expand_tag(tag, record);
    } else if (log.driver == "local") {
        limit_local(log, options, "");
    } else if (log.driver == "journald") {
        log.path = kJournalSocket;
        log.attributes = model::journal_fields(record);
    } else if (log.driver == "syslog") {
        describe_syslog(log, record, options);
    }
    log.non_blocking = option(options, "mode") == "non-blocking";
    if (const std::string buffer = option(options, "max-buffer-size"); !buffer.empty())
        log.max_buffer = std::max<std::int64_t>(0, size_from(buffer));
    return log;
}

std::optional<shim::LogConfig> log_copy_config(const model::ContainerRecord& record,
                                               const std::string& directory) {
    const model::LogConfig& log = record.host_config.log_config;
    if (!is_copied(log)) return std::nullopt;
    shim::LogConfig copy;
    copy.path = copy_path(directory);
    limit_local(copy, log.options, "cache-");
    return copy;
}

std::optional<LogFiles> log_files(const model::ContainerRecord& record,
                                  const std::string& directory) {
    const model::LogConfig& log = record.host_config.log_config;
    if (log.type == "json-file")
        return LogFiles{directory + "/" + record.id + "-json.log", LogFormat::json_lines};
    if (log.type == "local") return LogFiles{directory + "/container.log", LogFormat::local};
    if (is_copied(log)) return LogFiles{copy_path(directory), LogFormat::local};
    return std::nullopt;
}

}  // namespace berth::engine
