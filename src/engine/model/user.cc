#include "engine/model/user.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/number.h"

namespace berth::engine::model {

namespace {

std::vector<std::string> fields_of(std::string_view line, char separator) {
    std::vector<std::string> fields;
    while (true) {
        const std::size_t end = line.find(separator);
        fields.emplace_back(line.substr(0, end));
        if (end == std::string_view::npos) return fields;
        line.remove_prefix(end + 1);
    }
}

/// Each well-formed line of a colon-separated file.
std::vector<std::vector<std::string>> rows(std::string_view text, std::size_t min_fields) {
    std::vector<std::vector<std::string>> result;
    for (const std::string& line : fields_of(text, '\n')) {
        if (line.empty() || line.front() == '#') continue;
        auto fields = fields_of(line, ':');
        if (fields.size() >= min_fields) result.push_back(std::move(fields));
    }
    return result;
}

std::optional<std::uint32_t> number_from(const std::string& text) {
    const auto value = whole_number<std::uint32_t>(text);
    return value && *value <= 0x7fffffff ? value : std::nullopt;
}

gid_t group_id(const std::string& name, const std::vector<std::vector<std::string>>& groups) {
    for (const auto& row : groups)
        if (row[0] == name)
            if (const auto id = number_from(row[2])) return *id;
    if (const auto id = number_from(name)) return *id;
    throw Error(ErrorKind::invalid, "unable to find group {}: no matching entries in group file",
                name);
}

void add_group(std::vector<gid_t>& groups, gid_t id) {
    if (std::ranges::find(groups, id) == groups.end()) groups.push_back(id);
}

}  // namespace

ProcessUser resolve_user(const std::string& spec, const UserFiles& files,
                         const std::vector<std::string>& group_add) {
    const std::size_t colon = spec.find(':');
    std::string name = spec.substr(0, colon);
    const std::string group = colon == std::string::npos ? "" : spec.substr(colon + 1);
    if (name.empty()) name = "0";
    const auto groups = rows(files.group, 3);
    ProcessUser result;
    const auto number = number_from(name);
    bool found = false;
    std::string login;
    for (const auto& row : rows(files.passwd, 6)) {
        const auto uid = number_from(row[2]);
        if (!uid || (row[0] != name && (!number || *uid != *number))) continue;
        login = row[0];
        result.user.uid = *uid;
        result.user.gid = number_from(row[3]).value_or(0);
        if (!row[5].empty()) result.home = row[5];
        found = true;
        break;
    }
    if (!found && !number)
        throw Error(ErrorKind::invalid,
                    "unable to find user {}: no matching entries in passwd file", name);
    if (!found) result.user.uid = *number;
    if (!group.empty()) result.user.gid = group_id(group, groups);
    // The primary group is a supplementary one too, or a process could drop it and evade "deny this
    // group" permissions (CVE-2022-36109).
    add_group(result.user.additional_gids, static_cast<gid_t>(result.user.gid));
    if (group.empty() && !login.empty()) {
        for (const auto& row : groups) {
            if (row.size() < 4) continue;
            const auto members = fields_of(row[3], ',');
            if (std::ranges::find(members, login) == members.end()) continue;
            if (const auto id = number_from(row[2])) add_group(result.user.additional_gids, *id);
        }
    }
    for (const std::string& extra : group_add)
        add_group(result.user.additional_gids, group_id(extra, groups));
    return result;
}

}  // namespace berth::engine::model
