#include <algorithm>

#include "base/number.h"
#include "engine/containers/inspect.h"
#include "engine/image/state.h"

namespace berth::engine {

namespace {

struct PortFilter final {
    std::pair<std::uint16_t, std::uint16_t> range;
    std::string protocol;
};

PortFilter port_filter(const std::string& wanted) {
    const std::size_t slash = wanted.find('/');
    return {.range = model::host_port_range(wanted.substr(0, slash)),
            .protocol = slash == std::string::npos ? "tcp" : wanted.substr(slash + 1)};
}

void check_filters(const Filters& filters) {
    filters.check_keys({"ancestor", "before", "exited", "expose", "health", "id", "isolation",
                        "is-task", "label", "label!", "name", "network", "publish", "since",
                        "status", "volume"});
    for (const std::string& status : filters.values("status")) {
        try {
            model::status_from(status);
        } catch (const Error&) {
            throw Error(ErrorKind::invalid,
                        "invalid filter 'status={0}': invalid value for state ({0}): must be one "
                        "of created, running, paused, restarting, removing, exited, dead",
                        status);
        }
    }
    for (const std::string& code : filters.values("exited")) {
        if (!whole_number<int>(code))
            throw Error(ErrorKind::invalid, "invalid filter 'exited={}': expected an exit code",
                        code);
    }
    for (const std::string& health : filters.values("health"))
        if (health != "starting" && health != "healthy" && health != "unhealthy" &&
            health != "none")
            throw Error(ErrorKind::invalid,
                        "invalid filter 'health={0}': invalid value for health ({0}): must be one "
                        "of none, starting, healthy, unhealthy",
                        health);
    filters.boolean("is-task");
    for (const std::string_view key : {"expose", "publish"})
        for (const std::string& port : filters.values(key)) port_filter(port);
}

bool matches_port(const std::string& wanted, const std::string& port) {
    const PortFilter filter = port_filter(wanted);
    const model::PortSpec spec = model::port_spec_from(port);
    return spec.protocol == filter.protocol && spec.number >= filter.range.first &&
           spec.number <= filter.range.second;
}

/// By the port of the host, as with dockerd: the container's own ports are `expose`.
bool is_published(const std::string& wanted, const std::string& port,
                  const std::vector<model::PortBinding>& bindings) {
    const std::string protocol = "/" + model::port_spec_from(port).protocol;
    return std::ranges::any_of(bindings, [&](const model::PortBinding& binding) {
        return matches_port(wanted, binding.host_port + protocol);
    });
}

bool matches_mount(const std::string& wanted, const model::ContainerRecord& record) {
    return std::ranges::any_of(record.mounts, [&](const model::MountPoint& mount) {
        return mount.name == wanted || mount.destination == wanted || mount.source == wanted;
    });
}

bool matches_network(const std::string& wanted, const model::ContainerRecord& record) {
    return std::ranges::any_of(record.endpoints, [&](const auto& entry) {
        return entry.first == wanted || entry.second.network_id == wanted;
    });
}

bool matches_ancestor(const ContainerState& state, const std::string& wanted,
                      const model::ContainerRecord& record) {
    return record.config.image == wanted || record.image_id == wanted ||
           state.deps.images.still_named(wanted, record.image_id);
}

bool matches(const ContainerState& state, const Filters& filters,
             const model::ContainerRecord& record) {
    const auto text = [](const std::string& value) {
        return [&value](const std::string& pattern) { return matches_pattern(pattern, value); };
    };
    const std::string slashed = "/" + record.name;
    const std::string_view health =
        record.state.health ? model::to_string(record.state.health->status) : "none";
    return filters.labels(record.config.labels) &&
           filters.exact("status", model::to_string(record.state.status)) &&
           filters.exact("health", health) && !filters.boolean("is-task").value_or(false) &&
           filters.any("name",
                       [&](const std::string& p) {
                           return matches_pattern(p, record.name) || matches_pattern(p, slashed);
                       }) &&
           filters.any("id", text(record.id)) &&
           filters.any("exited",
                       [&](const std::string& code) {
                           return record.has_been_started && !record.state.is_running() &&
                                  code == std::to_string(record.state.exit_code);
                       }) &&
           filters.any("volume", [&](const std::string& v) { return matches_mount(v, record); }) &&
           filters.any("network",
                       [&](const std::string& n) { return matches_network(n, record); }) &&
           filters.any("ancestor",
                       [&](const std::string& i) { return matches_ancestor(state, i, record); }) &&
           filters.any("expose",
                       [&](const std::string& wanted) {
                           return std::ranges::any_of(
                               record.config.exposed_ports,
                               [&](const std::string& p) { return matches_port(wanted, p); });
                       }) &&
           filters.any("publish", [&](const std::string& wanted) {
               return std::ranges::any_of(record.bound_ports, [&](const auto& entry) {
                   return is_published(wanted, entry.first, entry.second);
               });
           });
}

}  // namespace

std::vector<ContainerPtr> select_containers(const ContainerState& state,
                                            const ListRequest& request) {
    const Filters& filters = request.filters;
    check_filters(filters);
    std::optional<Timestamp> before;
    std::optional<Timestamp> since;
    for (const std::string& ref : filters.values("before"))
        before = state.find(ref)->record.created;
    for (const std::string& ref : filters.values("since")) since = state.find(ref)->record.created;
    const bool all = request.scope == ListScope::all || request.limit > 0 ||
                     filters.has("status") || before || since || filters.has("exited");
    std::vector<ContainerPtr> selected;
    for (const auto& [id, container] : state.by_id) {
        const model::ContainerRecord& record = container->record;
        if (record.made_for == model::MadeFor::build_step) continue;
        if (!all && !record.state.is_running()) continue;
        if (before && record.created >= *before) continue;
        if (since && record.created <= *since) continue;
        if (matches(state, filters, record)) selected.push_back(container);
    }
    std::ranges::sort(selected, std::greater(),
                      [](const ContainerPtr& c) { return c->record.created; });
    if (request.limit > 0 && selected.size() > static_cast<std::size_t>(request.limit))
        selected.resize(static_cast<std::size_t>(request.limit));
    return selected;
}

}  // namespace berth::engine
