// What happened, for GET /events: a ring of the last 256 events and the live subscribers. Engine
// thread only. A subscriber that does not read loses its oldest events past 1024.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "async/task.h"
#include "base/clock.h"
#include "engine/filters.h"

namespace berth::engine {

struct Event final {
    std::string type;    // container, image, network, volume, daemon
    std::string action;  // die, "exec_create: sh", …
    std::string actor;   // id or name
    std::map<std::string, std::string> attributes;
    Timestamp at;
    nlohmann::json to_json() const;  // with the legacy keys status, id, from
};

bool matches(const Filters& filters, const Event& event);

struct EventsRequest final {
    std::string since, until;  // unix seconds, RFC 3339 or a Go duration; empty: live only
    Filters filters;
};

/// One reader. Destroying it unsubscribes.
class EventStream final {
  public:
    struct Subscription;
    explicit EventStream(std::shared_ptr<Subscription> subscription);
    ~EventStream();
    EventStream(const EventStream&) = delete;
    EventStream& operator=(const EventStream&) = delete;
    /// Waits for the next event; nothing when `until` passed. Cancel the coroutine to stop.
    async::Task<std::optional<Event>> next();

  private:
    std::shared_ptr<Subscription> subscription_;
};

class Events final {
  public:
    explicit Events(boost::asio::io_context& io) : io_(io) {}
    /// Stamps the event with the present time when it has none.
    void publish(Event event);
    /// Throws Error{invalid} for unknown filter keys and unreadable times.
    std::unique_ptr<EventStream> subscribe(const EventsRequest& request);
    std::size_t listeners() const;

    /// Called after each event; set before the first one.
    std::function<void()> on_publish;

  private:
    boost::asio::io_context& io_;
    std::deque<Event> ring_;
    std::list<std::weak_ptr<EventStream::Subscription>> subscriptions_;
};

}  // namespace berth::engine
