// The builder's steps as the progress of a BuildKit client: a vertex for each step that makes
// files, named as BuildKit names them ("[stage 2/5] RUN make"). Engine thread.
#pragma once

#include <string>
#include <vector>

#include "build/dockerfile.h"
#include "buildkit/progress.h"
#include "engine/build/build.h"

namespace berth::buildkit {

class StepLog final : public engine::BuildLog {
  public:
    /// `totals`: how many steps of each stage are shown (shown_steps()).
    StepLog(Progress& progress, std::vector<std::size_t> totals)
        : progress_(progress), totals_(std::move(totals)) {}

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

  private:
    std::string title(const engine::BuildStep& step) const;

    Progress& progress_;
    const std::vector<std::size_t> totals_;
    std::size_t stage_ = 0;
    std::size_t number_ = 0;  // of the shown step in its stage
    Vertex current_;          // of the step that runs; empty: it has none
};

/// Of each stage the steps that make files; the others only change the configuration, and BuildKit
/// shows none of them.
std::vector<std::size_t> shown_steps(const build::Dockerfile& file);

/// BuildKit's text of a command that failed.
std::string failure_text(const engine::CommandFailure& failure);

}  // namespace berth::buildkit
