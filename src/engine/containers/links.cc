#include "engine/containers/links.h"

#include "base/error.h"

namespace berth::engine {

void check_links(const ContainerState& state, const model::ContainerRecord& record) {
    const model::HostConfig& host = record.host_config;
    if (host.links.empty()) return;
    if (host.network_mode == "host")
        throw Error(ErrorKind::invalid,
                    "conflicting options: host type networking can't be used with links. This "
                    "would result in undefined behavior");
    for (const std::string& link : host.links) {
        const auto [name, alias] = model::split_link(link);
        const ContainerPtr target = state.try_find(name);
        if (!target)
            throw Error(ErrorKind::invalid,
                        "could not get container for {0}: No such container: {0}", name);
        if (target->record.host_config.network_mode == "host")
            throw Error(ErrorKind::invalid,
                        "conflicting options: host type networking can't be used with links. This "
                        "would result in undefined behavior");
    }
}

std::vector<model::Link> present_links(const ContainerState& state,
                                       const model::ContainerRecord& record) {
    std::vector<model::Link> links;
    if (record.host_config.network_mode != "bridge") return links;
    for (const std::string& text : record.host_config.links) {
        const auto [name, alias] = model::split_link(text);
        const ContainerPtr target = state.try_find(name);
        if (target && target->record.state.is_running() &&
            target->record.endpoints.contains("bridge"))
            links.push_back(model::link_to(target->record, alias));
    }
    return links;
}

std::vector<model::Link> running_links(const ContainerState& state,
                                       const model::ContainerRecord& record) {
    std::vector<model::Link> links;
    if (record.host_config.network_mode != "bridge") return links;
    for (const std::string& text : record.host_config.links) {
        const auto [name, alias] = model::split_link(text);
        const ContainerPtr target = state.find(name);
        if (!target->record.state.is_running())
            throw Error(ErrorKind::conflict,
                        "Cannot link to a non running container: /{} AS /{}/{}",
                        target->record.name, record.name, alias);
        if (!target->record.endpoints.contains("bridge"))
            throw Error(ErrorKind::internal, "container {} not attached to default bridge network",
                        target->record.id);
        links.push_back(model::link_to(target->record, alias));
    }
    return links;
}

}  // namespace berth::engine
