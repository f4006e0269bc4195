// Why containers of this user have no cgroups, or not all controllers: one sentence a cause, with
// the commands that mend it. The engine's warnings and `berth doctor` use the same words. Pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace berth::systemd {

/// What limits need, in the order of the texts.
const std::vector<std::string>& wanted_controllers();
/// The machine has no version 2 hierarchy, or (hybrid) one without controllers.
std::string advice_for_version_1();
/// There is no systemd user manager on the bus; `reason` is what the client said.
std::string advice_for_no_manager(const std::string& reason, uid_t uid);
/// The kernel has the controllers and the user manager was not given them.
std::string advice_for_undelegated(const std::vector<std::string>& controllers, uid_t uid);
/// A directory that somebody delegated by chown lacks controllers which the kernel has.
std::string advice_for_directory(const std::vector<std::string>& controllers,
                                 const std::string& directory);
/// The kernel was booted without the controllers.
std::string advice_for_absent(const std::vector<std::string>& controllers);

}  // namespace berth::systemd
