#include "engine/model/syslog_options.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"

namespace berth::engine::model {

namespace {

// By number; 12 to 15 have no name that Docker knows.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "",       "",       "",       "",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

[[noreturn]] void refuse_syslog(const std::string& text) {
    throw Error::with_text(ErrorKind::invalid, text);
}

std::string option(const std::map<std::string, std::string>& options, const char* key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

}  // namespace

SyslogAddress parse_syslog_address(const std::string& text) {
    if (text.empty()) return {};
    const std::size_t scheme_end = text.find("://");
    SyslogAddress address;
    address.network = text.substr(0, std::min(scheme_end, text.size()));
    std::string rest = scheme_end == std::string::npos ? "" : text.substr(scheme_end + 3);
    if (address.network == "unix" || address.network == "unixgram") {
        address.host = rest;
        if (!rest.starts_with('/'))
            refuse_syslog(fmt::format("stat {}: no such file or directory", rest));
        return address;
    }
    if (address.network != "udp" && address.network != "tcp" && address.network != "tcp+tls")
        refuse_syslog(fmt::format("unsupported scheme: '{}'", address.network));
    rest = rest.substr(0, rest.find('/'));
    const std::size_t bracket = rest.find(']');
    const std::size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
    address.host = rest.substr(0, colon);
    if (address.host.starts_with('[') && address.host.ends_with(']'))
        address.host = address.host.substr(1, address.host.size() - 2);
    address.port = colon == std::string::npos ? "514" : rest.substr(colon + 1);
    if (address.host.empty()) address.host = "127.0.0.1";
    unsigned port = 0;
    const char* end = address.port.data() + address.port.size();
    if (std::from_chars(address.port.data(), end, port).ptr != end || port == 0 || port > 65535)
        refuse_syslog(fmt::format("invalid port in the syslog-address {}", text));
    return address;
}

int syslog_facility(const std::string& name) {
    if (name.empty()) return 3;
    const auto* found = std::ranges::find(kFacilities, name);
    if (found != kFacilities.end()) return static_cast<int>(found - kFacilities.begin());
    int number = -1;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data(), end, number).ptr != end || number < 0 || number > 23)
        refuse_syslog("invalid syslog facility");
    return number;
}

void check_syslog_options(const std::map<std::string, std::string>& options) {
    parse_syslog_address(option(options, "syslog-address"));
    syslog_facility(option(options, "syslog-facility"));
    const std::string format = option(options, "syslog-format");
    if (!format.empty() && format != "rfc3164" && format != "rfc5424" && format != "rfc5424micro")
        refuse_syslog("Invalid syslog format");
}

}  // namespace berth::engine::model
