// What a build tells its client while it runs (Control.Status): steps ("vertexes"), their output
// and their transfers, as encoded pieces that wait for the one reader. Output that nobody takes is
// clipped, as BuildKit does. Engine thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "async/sync.h"
#include "async/task.h"
#include "base/clock.h"

namespace berth::buildkit {

/// What names a step for the client.
using Vertex = std::string;

class Progress final {
  public:
    Vertex begin(std::string name);
    void cached(const Vertex& vertex);
    void complete(Vertex vertex, const std::string& error = "");
    /// `stream` is 1 for stdout, 2 for stderr.
    void log(const Vertex& vertex, int stream, std::string_view bytes);
    /// A transfer of a step: `total` 0 is unknown.
    void transfer(const Vertex& vertex, const std::string& name, std::int64_t current,
                  std::int64_t total);
    void transferred(const Vertex& vertex, const std::string& name);
    void warn(std::string_view text);
    /// Steps that still run end with the build, and the reader after the last piece.
    void finish(const std::string& error);

    /// An encoded StatusResponse with everything since the last one; nothing at the end.
    async::Task<std::optional<std::string>> next();

  private:
    struct Step final {
        std::string name;
        Timestamp started, completed;
        bool cached = false;
        std::string error;
    };
    struct Transfer final {
        Timestamp started;
        std::int64_t current = 0, total = 0;
    };
    void put(const Vertex& vertex, const Step& step);
    void put_transfer(const Vertex& vertex, const std::string& name, const Transfer& transfer,
                      Timestamp completed);
    void add(std::string_view encoded);

    std::map<Vertex, Step> open_;
    std::map<std::pair<Vertex, std::string>, Transfer> transfers_;
    std::string waiting_;  // messages one after the other are one merged message
    bool clipped_ = false;
    bool finished_ = false;
    async::Condition changed_;
};

}  // namespace berth::buildkit
