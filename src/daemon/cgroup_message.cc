#include "daemon/cgroup_message.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace berth::daemon {

using nlohmann::json;

json cgroup_to_json(const engine::CgroupDelegation& cgroup) {
    return {{"directory", cgroup.directory},
            {"support", cgroup.support},
            {"controllers", cgroup.controllers},
            {"driver", cgroup.driver},
            {"problem", cgroup.problem}};
}

engine::CgroupDelegation cgroup_from_json(const json& value) {
    const JsonReader reader(value, "cgroup");
    engine::CgroupDelegation cgroup;
    cgroup.directory = reader.string("directory");
    cgroup.support = reader.string("support");
    for (std::string& name : reader.strings("controllers"))
        cgroup.controllers.insert(std::move(name));
    cgroup.driver = reader.string("driver", cgroup.driver);
    cgroup.problem = reader.string("problem");
    return cgroup;
}

}  // namespace berth::daemon
