// Which log drivers there are and which options each takes, for daemon.json and containers alike.
#pragma once

#include <map>
#include <string>

namespace berth::shim {

/// Throws Error{invalid} with Docker's texts for an unknown driver and for an option that it does
/// not take. Values are not looked at.
void check_log_option_names(const std::string& driver,
                            const std::map<std::string, std::string>& options);

}  // namespace berth::shim
