#include "engine/events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "async/sync.h"
#include "base/error.h"
#include "engine/model/times.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr std::size_t kRing = 256;
constexpr std::size_t kBacklog = 1024;

std::string attribute(const Event& event, const char* key) {
    const auto found = event.attributes.find(key);
    return found == event.attributes.end() ? "" : found->second;
}

/// exec_create, exec_start and health_status carry a text behind a colon.
bool action_matches(const std::string& wanted, const std::string& action) {
    if (wanted == action) return true;
    const std::string prefix = action.substr(0, action.find(':'));
    return prefix == wanted && (prefix == "health_status" || prefix.starts_with("exec_"));
}

bool names_actor(const std::string& wanted, const Event& event) {
    return wanted == event.actor || wanted == attribute(event, "name") ||
           (!wanted.empty() && event.actor.starts_with(wanted));
}

bool names_image(const std::string& wanted, const Event& event) {
    if (event.type == "image" && names_actor(wanted, event)) return true;
    const std::string name = attribute(event, event.type == "image" ? "name" : "image");
    return wanted == name || wanted == name.substr(0, name.rfind(':'));
}

bool object_filter(const Filters& filters, const Event& event, const char* type) {
    return filters.any(type, [&](const std::string& wanted) {
        if (std::string_view(type) == "image") return names_image(wanted, event);
        return event.type == type && names_actor(wanted, event);
    });
}

}  // namespace

json Event::to_json() const {
    json value = {{"Type", type},
                  {"Action", action},
                  {"Actor", {{"ID", actor}, {"Attributes", attributes}}},
                  {"scope", "local"},
                  {"time", at.seconds()},
                  {"timeNano", at.ns}};
    if (type == "container" || type == "image") {
        value["status"] = action;
        value["id"] = actor;
        if (type == "container") value["from"] = attribute(*this, "image");
    }
    return value;
}

bool matches(const Filters& filters, const Event& event) {
    for (const char* type : {"container", "image", "network", "volume", "daemon", "plugin",
                             "service", "node", "secret", "config"})
        if (!object_filter(filters, event, type)) return false;
    return filters.exact("type", event.type) && filters.exact("scope", "local") &&
           filters.any("event",
                       [&](const std::string& v) { return action_matches(v, event.action); }) &&
           filters.labels(event.attributes);
}

struct EventStream::Subscription final {
    Filters filters;
    Timestamp until;  // zero: no end
    std::deque<Event> waiting;
    async::Condition changed;
};

EventStream::EventStream(std::shared_ptr<Subscription> subscription)
    : subscription_(std::move(subscription)) {}
EventStream::~EventStream() = default;

async::Task<std::optional<Event>> EventStream::next() {
    const std::shared_ptr<Subscription> own = subscription_;
    while (own->waiting.empty()) {
        if (own->until.ns != 0 && own->until <= Timestamp::now()) co_return std::nullopt;
        co_await own->changed.wait_until(model::steady_time_past(own->until));
    }
    std::optional<Event> event = std::move(own->waiting.front());
    own->waiting.pop_front();
    co_return event;
}

void Events::publish(Event event) {
    if (event.at.ns == 0) event.at = Timestamp::now();
    std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : subscriptions_) {
        const auto subscription = weak.lock();
        if (!matches(subscription->filters, event)) continue;
        if (subscription->until.ns != 0 && event.at > subscription->until) continue;
        if (subscription->waiting.size() == kBacklog) subscription->waiting.pop_front();
        subscription->waiting.push_back(event);
        subscription->changed.notify_all();
    }
    ring_.push_back(std::move(event));
    if (ring_.size() > kRing) ring_.pop_front();
    if (on_publish) on_publish();
}

std::unique_ptr<EventStream> Events::subscribe(const EventsRequest& request) {
    request.filters.check_keys({"event", "type", "scope", "label", "container", "image", "network",
                                "volume", "daemon", "plugin", "service", "node", "secret",
                                "config"});
    const Timestamp now = Timestamp::now();
    auto subscription = std::make_shared<EventStream::Subscription>();
    subscription->filters = request.filters;
    subscription->until = model::time_from_query(request.until, now);
    const Timestamp since = model::time_from_query(request.since, now);
    if (subscription->until.ns != 0 && subscription->until < since)
        throw Error(ErrorKind::invalid, "`since` time ({}) cannot be after `until` time ({})",
                    request.since, request.until);
    if (since.ns != 0 || subscription->until.ns != 0)
        for (const Event& event : ring_) {
            const bool late = subscription->until.ns != 0 && event.at > subscription->until;
            if (event.at >= since && !late && matches(request.filters, event))
                subscription->waiting.push_back(event);
        }
    subscriptions_.push_back(subscription);
    return std::make_unique<EventStream>(std::move(subscription));
}

std::size_t Events::listeners() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(subscriptions_, [](const auto& weak) { return !weak.expired(); }));
}

}  // namespace berth::engine
