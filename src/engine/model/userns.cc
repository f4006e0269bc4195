#include "engine/model/userns.h"

#include "base/error.h"
#include "base/number.h"

namespace berth::engine::model {

namespace {

Error bad_mode(const std::string& mode) {
    return Error(ErrorKind::invalid, "invalid userns mode: {}", mode);
}

std::uint32_t id_from(std::string_view text, const std::string& mode) {
    const auto id = whole_number<std::uint32_t>(text);
    if (!id) throw bad_mode(mode);
    return *id;
}

}  // namespace

std::optional<UserIds> kept_ids_from(const std::string& mode, UserIds own) {
    constexpr std::string_view kWord = "keep-id";
    if (mode.empty() || mode == "host") return std::nullopt;
    std::string_view rest = mode;
    if (!rest.starts_with(kWord)) throw bad_mode(mode);
    rest.remove_prefix(kWord.size());
    if (rest.empty()) return own;
    if (rest.front() != ':') throw bad_mode(mode);
    for (char separator = ':'; !rest.empty(); separator = ',') {
        if (rest.front() != separator) throw bad_mode(mode);
        rest.remove_prefix(1);
        const std::string_view word = rest.substr(0, rest.find(','));
        rest.remove_prefix(word.size());
        if (word.starts_with("uid="))
            own.uid = id_from(word.substr(4), mode);
        else if (word.starts_with("gid="))
            own.gid = id_from(word.substr(4), mode);
        else
            throw bad_mode(mode);
    }
    return own;
}

std::vector<oci::IdMapping> keep_id_map(std::uint32_t kept, std::uint32_t count) {
    if (kept >= count)
        throw Error(ErrorKind::invalid,
                    "userns mode keep-id: id {} is not below {}, the number of ids that this user "
                    "has (/etc/subuid, /etc/subgid)",
                    kept, count);
    std::vector<oci::IdMapping> map;
    if (kept > 0) map.push_back({0, 1, kept});
    map.push_back({kept, 0, 1});
    if (kept + 1 < count) map.push_back({kept + 1, kept + 1, count - kept - 1});
    return map;
}

IdMaps id_maps_of(const HostConfig& host, UserIds user, UserIds counts) {
    const auto kept = kept_ids_from(host.userns_mode, user);
    if (!kept || *kept == UserIds{}) return {};
    return {keep_id_map(kept->uid, counts.uid), keep_id_map(kept->gid, counts.gid)};
}

std::string chosen_userns_mode(const HostConfig& host, const Labels& labels,
                               const std::string& default_mode) {
    if (!host.userns_mode.empty()) return host.userns_mode;
    const auto label = labels.find(kUsernsLabel);
    return label == labels.end() ? default_mode : label->second;
}

}  // namespace berth::engine::model
