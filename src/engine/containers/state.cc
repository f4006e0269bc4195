#include "engine/containers/state.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/network/state.h"

namespace berth::engine {

namespace {

constexpr std::chrono::seconds kSavePause{1};

// "No such container: " is what the docker CLI and the SDKs look for.
Error no_such_container(const std::string& ref) {
    return Error(ErrorKind::not_found, "No such container: {}", ref);
}

async::Task<void> save_again(ContainerState& state, std::string id) {
    for (bool saved = false; !saved;) {
        co_await async::sleep_for(kSavePause);
        const auto found = state.by_id.find(id);
        if (found == state.by_id.end()) co_return;
        try {
            state.save(*found->second, Durability::process);
            found->second->unsaved = false;
            saved = true;
        } catch (const Error&) {
            continue;  // the first failure was logged
        }
    }
}

bool is_hex(const std::string& text) {
    return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

ContainerPtr ContainerState::try_find(const std::string& ref) const {
    if (const auto exact = by_id.find(ref); exact != by_id.end()) return exact->second;
    const std::string name = ref.starts_with('/') ? ref.substr(1) : ref;
    if (const auto named = names.find(name); named != names.end()) {
        const auto found = by_id.find(named->second);
        return found == by_id.end() ? nullptr : found->second;
    }
    if (ref.empty() || !is_hex(ref)) return nullptr;
    const auto first = by_id.lower_bound(ref);
    if (first == by_id.end() || !first->first.starts_with(ref)) return nullptr;
    const auto second = std::next(first);
    if (second != by_id.end() && second->first.starts_with(ref))
        throw Error(ErrorKind::invalid, "multiple IDs found with provided prefix: {}", ref);
    return first->second;
}

ContainerPtr ContainerState::find(const std::string& ref) const {
    ContainerPtr found = try_find(ref);
    if (!found) throw no_such_container(ref);
    return found;
}

std::string ContainerState::directory(const std::string& id) const {
    return settings().data_root + "/containers/" + id;
}

std::string ContainerState::run_directory(const std::string& id) const {
    return settings().exec_root + "/c/" + id.substr(0, 12);
}

void ContainerState::save(const Container& container, Durability durability) const {
    replace_file(directory(container.record.id) + "/container.json",
                 dump_json(model::to_json(container.record)), 0600, durability);
}

void ContainerState::save_event(Container& container) {
    try {
        save(container, Durability::process);
        return;
    } catch (const Error& error) {
        if (container.unsaved) return;
        log::error("state of container {} is not saved yet: {}", container.id().substr(0, 12),
                   error.message());
    }
    container.unsaved = true;
    deps.context.tasks.spawn("save container", save_again(*this, container.id()));
}

void ContainerState::publish(const Container& container, const std::string& action,
                             std::map<std::string, std::string> attributes) const {
    if (container.record.made_for == model::MadeFor::build_step) return;
    Event event;
    event.type = "container";
    event.action = action;
    event.actor = container.record.id;
    event.attributes = std::move(attributes);
    event.attributes.insert(container.record.config.labels.begin(),
                            container.record.config.labels.end());
    event.attributes.emplace("image", container.record.config.image);
    event.attributes.emplace("name", container.record.name);
    deps.context.events.publish(std::move(event));
}

void ContainerState::publish_networks(const Container& container, const std::string& action) const {
    if (container.record.made_for == model::MadeFor::build_step) return;
    for (const auto& [name, endpoint] : container.record.endpoints)
        if (const Network* network = deps.networks.by_name(name))
            deps.networks.publish(*network, action, {{"container", container.record.id}});
}

}  // namespace berth::engine
