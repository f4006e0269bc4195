// What a classic build says, as the objects of its NDJSON stream. Engine thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/build/build.h"
#include "engine/images.h"

namespace berth::api {

enum class BuildWords {
    all,
    id_only,  // -q: the id alone, or everything when the build fails
};

class ClassicBuildLog final : public engine::BuildLog {
  public:
    ClassicBuildLog(engine::ProgressSink sink, BuildWords words);
    ~ClassicBuildLog() override;

    void begin(const engine::BuildStep& step) override;
    void cached(const engine::BuildStep& step) override;
    void running(const engine::BuildStep& step, const std::string& container) override;
    void output(const engine::BuildStep& step, engine::BuildOutput kind,
                std::string_view bytes) override;
    void pull_progress(const engine::BuildStep& step, const nlohmann::json& line) override;
    void removed(const engine::BuildStep& step, const std::string& container) override;
    void finished(const engine::BuildStep& step, const std::string& image) override;
    void failed(const engine::BuildStep& step, const Error& error) override;
    void stage_finished(const std::string& image) override;
    void note(const std::string& text) override;
    void built(const std::string& image) override;
    void tagged(const std::string& name) override;

    bool has_begun() const { return begun_; }
    /// The last words of a build that came to its end.
    void end(const engine::BuildResult& result);
    /// The last line of one that did not.
    void fail(const Error& error);

  private:
    void say(const std::string& text);
    void write(nlohmann::json line);
    void write_failure(nlohmann::json detail);

    engine::ProgressSink sink_;
    BuildWords words_;
    bool begun_ = false;
    std::vector<nlohmann::json> held_;  // -q
};

}  // namespace berth::api
