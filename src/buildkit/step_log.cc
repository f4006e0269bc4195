#include "buildkit/step_log.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/text.h"

namespace berth::buildkit {

namespace {
bool makes_files(std::string_view instruction) {
    constexpr std::array<std::string_view, 5> kShown{"FROM", "RUN", "COPY", "ADD", "WORKDIR"};
    const std::string word = to_upper(instruction.substr(0, instruction.find_first_of(" \t")));
    return std::ranges::find(kShown, word) != kShown.end();
}
}  // namespace

std::vector<std::size_t> shown_steps(const build::Dockerfile& file) {
    std::vector<std::size_t> totals;
    for (const build::Stage& stage : file.stages)
        totals.push_back(1 + static_cast<std::size_t>(std::ranges::count_if(
                                 stage.instructions, [](const build::Instruction& instruction) {
                                     return makes_files(instruction.name);
                                 })));
    return totals;
}

std::string StepLog::title(const engine::BuildStep& step) const {
    std::string stage = step.stage_name;
    if (stage.empty() && totals_.size() > 1) stage = fmt::format("stage-{}", step.stage);
    if (!stage.empty()) stage += " ";
    // Triggers of the base image come on top.
    const std::size_t known = step.stage < totals_.size() ? totals_[step.stage] : 0;
    return fmt::format("[{}{}/{}] {}", stage, number_, std::max(known, number_), step.text);
}

void StepLog::begin(const engine::BuildStep& step) {
    if (!current_.empty()) progress_.complete(current_);
    current_.clear();
    if (step.stage != stage_) number_ = 0;
    stage_ = step.stage;
    if (!makes_files(step.text)) return;
    ++number_;
    current_ = progress_.begin(title(step));
}

void StepLog::cached(const engine::BuildStep&) { progress_.cached(current_); }

void StepLog::running(const engine::BuildStep&, const std::string&) {}

void StepLog::output(const engine::BuildStep&, engine::BuildOutput kind, std::string_view bytes) {
    progress_.log(current_, kind == engine::BuildOutput::standard ? 1 : 2, bytes);
}

// {"status":"Downloading","id":"0a1b…","progressDetail":{"current":1,"total":2}}
void StepLog::pull_progress(const engine::BuildStep&, const nlohmann::json& line) {
    const JsonReader reader(line);
    const std::string id = reader.string("id");
    const std::string status = reader.string("status");
    if (id.empty() || current_.empty()) return;
    const auto detail = line.find("progressDetail");
    if (detail != line.end() && detail->is_object() && detail->contains("current"))
        progress_.transfer(current_, id, detail->value("current", std::int64_t{0}),
                           detail->value("total", std::int64_t{0}));
    if (status == "Pull complete" || status == "Already exists")
        progress_.transferred(current_, id);
}

void StepLog::removed(const engine::BuildStep&, const std::string&) {}

void StepLog::finished(const engine::BuildStep&, const std::string&) {
    progress_.complete(current_);
    current_.clear();
}

void StepLog::failed(const engine::BuildStep&, const Error& error) {
    progress_.complete(current_, error.message());
    current_.clear();
}

void StepLog::stage_finished(const std::string&) {}

void StepLog::note(const std::string& text) {
    if (text.find("arning") != std::string::npos) progress_.warn({text});
}

void StepLog::built(const std::string&) {}

void StepLog::tagged(const std::string&) {}

std::string failure_text(const engine::CommandFailure& failure) {
    constexpr std::string_view kBefore = "The command '";
    const auto end = failure.message.rfind("' returned");
    if (!failure.message.starts_with(kBefore) || end == std::string::npos) return failure.message;
    const std::string command = failure.message.substr(kBefore.size(), end - kBefore.size());
    return fmt::format("process \"{}\" did not complete successfully: exit code: {}", command,
                       failure.code);
}

}  // namespace berth::buildkit
