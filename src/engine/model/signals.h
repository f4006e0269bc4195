// Signals by name or number, as `docker kill --signal` and StopSignal write them. Pure.
#pragma once

#include <string>

namespace berth::engine::model {

/// "9", "KILL", "SIGKILL", "RTMIN+3". Throws Error{invalid} "invalid signal: X".
int signal_from(const std::string& text);

}  // namespace berth::engine::model
