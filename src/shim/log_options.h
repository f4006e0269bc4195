// Which log drivers there are, which options each takes and with which values, for daemon.json and
// containers alike. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace berth::shim {

/// Their names, but "none", which is no driver.
std::vector<std::string> log_drivers();

/// Throws Error{invalid} with Docker's texts for an unknown driver, for an option that it does not
/// take, and for values of those that say how files are rotated and how output waits. Sizes, tags
/// and what belongs to syslog alone are not looked at.
void check_log_options(const std::string& driver,
                       const std::map<std::string, std::string>& options);

/// The number of files that an option (max-file) allows; `fallback` where it is not given. Throws
/// Error{invalid}.
int log_file_count(const std::map<std::string, std::string>& options, const std::string& key,
                   int fallback);

}  // namespace berth::shim
