#include "image/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"

namespace berth::image {
namespace {

using oci::Platform;

/// Go's names, as images carry them, for the many others that people and kernels use.
Platform normalise(Platform platform) {
    std::string& architecture = platform.architecture;
    std::string& variant = platform.variant;
    std::ranges::transform(platform.os, platform.os.begin(), ::tolower);
    std::ranges::transform(architecture, architecture.begin(), ::tolower);
    if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
    if (architecture == "aarch64") architecture = "arm64";
    if (architecture == "i386" || architecture == "i686") architecture = "386";
    if (architecture == "armhf") architecture = "arm", variant = "v7";
    if (architecture == "armel") architecture = "arm", variant = "v6";
    if (architecture.starts_with("armv")) {
        variant = architecture.substr(3, 2);
        architecture = "arm";
    }
    if (!variant.empty() && variant[0] >= '0' && variant[0] <= '9') variant.insert(0, "v");
    if (architecture == "amd64" && variant == "v1") variant.clear();
    if (architecture == "arm64" && variant == "v8") variant.clear();
    if (architecture == "arm" && variant.empty()) variant = "v7";
    return platform;
}

/// `wanted` first, then what also runs there, nearest first.
std::vector<Platform> acceptable(const Platform& wanted) {
    std::vector<Platform> result;
    const auto add = [&](std::string_view architecture, std::string_view variant) {
        result.push_back({wanted.os, std::string(architecture), std::string(variant)});
    };
    result.push_back(wanted);
    const int level = wanted.variant.size() == 2 ? wanted.variant[1] - '0' : 0;
    if (wanted.architecture == "amd64") {
        for (int lower = level - 1; lower >= 2; --lower) add("amd64", "v" + std::to_string(lower));
        if (level > 1) add("amd64", "");
        add("386", "");
    } else if (wanted.architecture == "arm64") {
        if (level > 8) add("arm64", "");
        for (int lower = 8; lower >= 5; --lower) add("arm", "v" + std::to_string(lower));
    } else if (wanted.architecture == "arm") {
        for (int lower = level - 1; lower >= 5; --lower) add("arm", "v" + std::to_string(lower));
    }
    return result;
}

}  // namespace

Platform host_platform() {
    utsname name{};
    ::uname(&name);
    return normalise({.os = "linux", .architecture = name.machine, .variant = ""});
}

Platform parse_platform(std::string_view text) {
    if (text.empty()) return host_platform();
    std::vector<std::string> parts;
    for (std::string_view rest = text;;) {
        const std::size_t slash = rest.find('/');
        parts.emplace_back(rest.substr(0, slash));
        if (slash == std::string_view::npos) break;
        rest.remove_prefix(slash + 1);
    }
    const auto is_word = [](const std::string& part) {
        return !part.empty() && std::ranges::all_of(part, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
        });
    };
    if (parts.size() > 3 || !std::ranges::all_of(parts, is_word))
        throw Error(ErrorKind::invalid, "\"{}\": cannot parse platform specifier: invalid argument",
                    text);
    if (parts.size() > 1) return normalise({parts[0], parts[1], parts.size() == 3 ? parts[2] : ""});
    if (parts[0] == "linux") return host_platform();
    return normalise({"linux", parts[0], ""});
}

std::optional<Platform> wanted_platform(const std::string& text) {
    if (text.empty()) return std::nullopt;
    return parse_platform(text);
}

bool is_compatible(const Platform& wanted, const Platform& offered) {
    const std::vector<Platform> list = acceptable(normalise(wanted));
    return std::ranges::find(list, normalise(offered)) != list.end();
}

void check_platform(const std::string& name, const oci::Platform& found,
                    const std::optional<oci::Platform>& wanted) {
    if (!wanted || is_compatible(*wanted, found)) return;
    throw Error(ErrorKind::not_found,
                "image with reference {} was found but its platform ({}) does not match the "
                "specified platform ({})",
                name, found.str(), wanted->str());
}

const oci::Descriptor& select_manifest(const oci::ImageIndex& index, const Platform& wanted) {
    for (const Platform& candidate : acceptable(normalise(wanted))) {
        const auto found = std::ranges::find_if(index.manifests, [&](const oci::Descriptor& entry) {
            return entry.platform && normalise(*entry.platform) == candidate;
        });
        if (found != index.manifests.end()) return *found;
    }
    throw Error(ErrorKind::not_found, "no matching manifest for {} in the manifest list entries",
                wanted.str());
}

}  // namespace berth::image
