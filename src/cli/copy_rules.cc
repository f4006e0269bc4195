#include "cli/copy_rules.h"

#include "base/error.h"
#include "linux/rooted_path.h"

namespace berth::cli {

using linux_os::base_of;
using linux_os::clean_path;

CopyArgument split_copy_argument(const std::string& text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos || text.starts_with('/') || text.starts_with('.'))
        return {"", text};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

bool names_content(const std::string& path) { return base_of(path) == "."; }

CopyPlan plan_copy(Thing source, const CopyTarget& target) {
    if (target.thing == Thing::directory) return {target.path, ""};
    if (target.thing == Thing::file && source == Thing::directory)
        throw Error(ErrorKind::conflict, "cannot copy directory");
    const bool asks_for_directory = target.path.ends_with('/') || names_content(target.path);
    if (target.thing == Thing::absent && source != Thing::directory && asks_for_directory)
        throw Error(ErrorKind::not_found, "no such directory");
    const std::string clean = clean_path(target.path);
    if (names_content(target.path)) return {clean, "."};
    return {clean_path(clean + "/.."), base_of(clean)};
}

std::string link_destination(const std::string& path, const std::string& target) {
    std::string end;
    if (path.ends_with('/')) end = "/";
    if (names_content(path)) end = "/.";
    return (target.starts_with('/') ? clean_path(target)
                                    : clean_path(clean_path(path) + "/../" + target)) +
           end;
}

}  // namespace berth::cli
