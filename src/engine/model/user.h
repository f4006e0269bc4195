// Who a container's process is: "name", "uid", "name:group", "uid:gid", looked up in the text of
// the container's /etc/passwd and /etc/group. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"

namespace berth::engine::model {

struct ProcessUser final {
    oci::User user;
    std::string home = "/";
};

struct UserFiles final {
    std::string passwd;  // empty: the file is absent
    std::string group;
};

/// Throws Error{invalid} with Docker's texts for a name that is in neither file.
ProcessUser resolve_user(const std::string& spec, const UserFiles& files,
                         const std::vector<std::string>& group_add);

}  // namespace berth::engine::model
