// GET /containers/X/top: the host's ps, asked for the container's processes only, as clients know
// it from Docker; where the host has no ps, what /proc says in the columns of `ps -ef`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/containers/state.h"

namespace berth::engine {

struct ProcessTable final {
    std::vector<std::string> titles;
    std::vector<std::vector<std::string>> rows;
};

/// Throws Error{invalid} for arguments that rename the PID column ("-o PID=X").
void check_ps_arguments(const std::string& arguments);
/// What ps wrote, less the lines of other processes. Throws Error{invalid} without a PID column.
ProcessTable parse_ps_output(std::string_view text, const std::vector<pid_t>& processes);
/// The columns of `ps -ef`, from /proc.
ProcessTable table_from_proc(const std::vector<pid_t>& processes);

/// Throws Error{conflict} unless the container runs, and what ps says of its arguments.
async::Task<nlohmann::json> list_processes(ContainerState& state, ContainerPtr container,
                                           std::string ps_arguments);

}  // namespace berth::engine
