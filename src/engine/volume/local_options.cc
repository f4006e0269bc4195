#include "engine/volume/local_options.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "engine/model/tmpfs_options.h"
#include "linux/rooted_path.h"

namespace berth::engine {

namespace {

using Options = std::map<std::string, std::string>;

std::string value_of(const Options& options, const char* key) {
    const auto found = options.find(key);
    return found == options.end() ? "" : found->second;
}

void check_keys(const std::string& name, const Options& options) {
    static const std::set<std::string> kKnown = {"type", "o", "device", "size"};
    for (const auto& [key, value] : options)
        if (!kKnown.contains(key))
            throw Error(ErrorKind::invalid, "create {}: invalid option: \"{}\"", name, key);
    if (options.contains("size"))
        throw Error(ErrorKind::invalid,
                    "create {}: quota size requested but no quota support: only root may set one; "
                    "type=tmpfs takes a size in its option o",
                    name);
    const auto need = [&](const char* key, const char* other) {
        if (options.contains(key) && value_of(options, other).empty())
            throw Error(ErrorKind::invalid, "create {}: missing required option: \"{}\"", name,
                        other);
    };
    need("type", "device");
    need("device", "type");
    need("o", "device");
}

}  // namespace

LocalVolume local_volume_from(const std::string& name, const Options& options) {
    LocalVolume volume;
    if (options.empty()) return volume;
    check_keys(name, options);
    const std::string type = value_of(options, "type");
    const std::string text = value_of(options, "o");
    for (const std::string_view word : words_of(text, ",")) volume.options.emplace_back(word);
    const auto has = [&](const char* word) {
        return std::ranges::find(volume.options, word) != volume.options.end();
    };
    if (has("bind") || has("rbind")) {
        const std::string device = value_of(options, "device");
        if (!device.starts_with('/'))
            throw Error(ErrorKind::invalid, "create {}: device {} must be an absolute path", name,
                        device);
        volume.kind = LocalKind::bind;
        volume.device = linux_os::clean_path(device);
        volume.read_only = has("ro");
        return volume;
    }
    if (type != "tmpfs")
        throw Error(ErrorKind::invalid,
                    "create {0}: a volume of type \"{1}\" needs a mount that only root may make; "
                    "mount it on the host and use type=none, o=bind and its path as device",
                    name, type);
    volume.kind = LocalKind::tmpfs;
    model::check_tmpfs_options(volume.options);
    return volume;
}

}  // namespace berth::engine
