#include "rootlesskit/host_files.h"

#include <charconv>

#include "base/error.h"
#include "base/file.h"

namespace berth::rootlesskit {

std::string HostFiles::text(const std::string& path) const {
    try {
        return read_file_if_exists(root_ + path).value_or("");
    } catch (const Error&) {
        return "";
    }
}

std::optional<std::int64_t> HostFiles::number(const std::string& path) const {
    const std::string content = text(path);
    std::int64_t value = 0;
    if (std::from_chars(content.data(), content.data() + content.size(), value).ec != std::errc{})
        return std::nullopt;
    return value;
}

std::optional<std::int64_t> HostFiles::kernel_switch(const std::string& name) const {
    return number("/proc/sys/" + name);
}

bool HostFiles::has(const std::string& path) const { return exists(root_ + path); }

}  // namespace berth::rootlesskit
