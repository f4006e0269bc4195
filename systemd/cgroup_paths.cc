#include "systemd/cgroup_paths.h"

#include <algorithm>

#include "base/error.h"

namespace berth::systemd {
namespace {

constexpr std::string_view kSlice = ".slice";

std::string_view first_component(std::string_view path) {
    path.remove_prefix(std::min<std::size_t>(path.starts_with('/') ? 1 : 0, path.size()));
    return path.substr(0, path.find('/'));
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":_.\\-@").find(c) != std::string_view::npos;
}

}  // namespace

std::string unified_path(std::string_view proc_cgroup) {
    constexpr std::string_view kPrefix = "0::";
    while (!proc_cgroup.empty()) {
        const auto end = std::min(proc_cgroup.find('\n'), proc_cgroup.size());
        const std::string_view line = proc_cgroup.substr(0, end);
        if (line.starts_with(kPrefix)) return std::string(line.substr(kPrefix.size()));
        proc_cgroup.remove_prefix(std::min(end + 1, proc_cgroup.size()));
    }
    return "";
}

std::string manager_of(std::string_view path) {
    const auto at = path.find("/user@");
    if (at == std::string_view::npos) return "";
    const auto end = std::min(path.find('/', at + 1), path.size());
    if (!path.substr(0, end).ends_with(".service")) return "";
    return std::string(path.substr(0, end));
}

std::string unit_of(std::string_view path) {
    const std::string manager = manager_of(path);
    if (manager.empty()) return "";
    path.remove_prefix(manager.size());
    while (first_component(path).ends_with(kSlice))
        path.remove_prefix(first_component(path).size() + 1);
    return std::string(first_component(path));
}

bool is_slice_name(std::string_view name) {
    if (!name.ends_with(kSlice) || name.size() == kSlice.size() || name.size() > 255) return false;
    const std::string_view stem = name.substr(0, name.size() - kSlice.size());
    return std::ranges::all_of(stem, is_name_character) && !stem.starts_with('-') &&
           !stem.ends_with('-') && stem.find("--") == std::string_view::npos;
}

std::string slice_path(std::string_view name) {
    if (!is_slice_name(name))
        throw Error(ErrorKind::invalid,
                    "cgroup-parent for systemd cgroup should be a valid slice named as "
                    "\"xxx.slice\", not \"{}\"",
                    name);
    const std::string_view stem = name.substr(0, name.size() - kSlice.size());
    std::string path;
    for (std::size_t at = stem.find('-'); at != std::string_view::npos; at = stem.find('-', at + 1))
        path += fmt::format("/{}{}", stem.substr(0, at), kSlice);
    return path + fmt::format("/{}", name);
}

}  // namespace berth::systemd
