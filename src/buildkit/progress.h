// What a build tells its clients while it runs (Control.Status): steps ("vertexes"), their output
// and their transfers, as encoded pieces for any number of readers, and as the log that its record
// keeps. Output that a reader does not take is clipped, as BuildKit does. Engine thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "async/sync.h"
#include "async/task.h"
#include "base/clock.h"
#include "buildkit/build_record.h"

namespace berth::buildkit {

/// What names a step for the client.
using Vertex = std::string;

/// One who follows a build: what has not been taken yet.
class ProgressReader final {
  public:
    /// An encoded StatusResponse with everything since the last one; nothing at the end.
    async::Task<std::optional<std::string>> next();

  private:
    friend class Progress;
    std::string waiting_;  // messages one after the other are one merged message
    bool clipped_ = false;
    bool finished_ = false;
    async::Condition changed_;
};

/// One of the Dockerfile's lines, or of none.
struct BuildWarning final {
    std::string text;
    std::string detail = {}, url = {}, filename = {};
    std::string source = {};  // the Dockerfile
    int line = 0, last_line = 0;
};

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
    void warn(const BuildWarning& warning);
    /// Steps that still run end with the build, and the readers after the last piece.
    void finish(const std::string& error);

    /// Gets what was told so far, too.
    std::shared_ptr<ProgressReader> read();
    /// Pieces as a record's log has them; of much output the beginning.
    const std::string& kept() const { return kept_; }
    const StepCounts& counts() const { return counts_; }

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
    enum class Worth { needed, output, passing };
    void put(const Vertex& vertex, const Step& step);
    void put_transfer(const Vertex& vertex, const std::string& name, const Transfer& transfer,
                      Timestamp completed);
    void put_log(const Vertex& vertex, int stream, std::string_view bytes);
    void add(Worth worth, std::string_view encoded);

    std::map<Vertex, Step> open_;
    std::map<std::pair<Vertex, std::string>, Transfer> transfers_;
    std::vector<std::weak_ptr<ProgressReader>> readers_;
    std::string kept_;
    std::string clipped_message_;  // of the step that spoke last
    StepCounts counts_;
    bool finished_ = false;
};

}  // namespace berth::buildkit
