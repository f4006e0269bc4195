// The options of the log driver syslog: where the service is, and how its messages begin. Pure.
#pragma once

#include <map>
#include <string>

namespace berth::engine::model {

struct SyslogAddress final {
    std::string network;  // "udp", "tcp", "tcp+tls", "unix", "unixgram"; empty: the host's own
    std::string host;     // a path for the unix kinds
    std::string port;     // "514" when not given
};

/// Throws Error{invalid}, in Docker's words where it has some.
SyslogAddress parse_syslog_address(const std::string& text);
/// By name ("local0") or number; "daemon" when empty. Throws Error{invalid}.
int syslog_facility(const std::string& name);
/// Throws Error{invalid} for values that a container cannot be started with.
void check_syslog_options(const std::map<std::string, std::string>& options);

}  // namespace berth::engine::model
