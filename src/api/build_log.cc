#include "api/build_log.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace berth::api {

namespace {

std::string short_id(const std::string& id) {
    const std::size_t colon = id.find(':');
    return id.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

}  // namespace

ClassicBuildLog::ClassicBuildLog(engine::ProgressSink sink, BuildWords words)
    : sink_(std::move(sink)), words_(words) {}
ClassicBuildLog::~ClassicBuildLog() = default;

void ClassicBuildLog::write(nlohmann::json line) {
    begun_ = true;
    if (words_ == BuildWords::all)
        sink_(line);
    else
        held_.push_back(std::move(line));
}

void ClassicBuildLog::say(const std::string& text) { write({{"stream", text}}); }

void ClassicBuildLog::begin(const engine::BuildStep& step) {
    say(fmt::format("Step {}/{} : {}", step.number, step.total, step.text));
    say("\n");
}

void ClassicBuildLog::cached(const engine::BuildStep&) { say(" ---> Using cache\n"); }

void ClassicBuildLog::running(const engine::BuildStep&, const std::string& container) {
    say(fmt::format(" ---> Running in {}\n", short_id(container)));
}

// Docker paints what goes to standard error red.
void ClassicBuildLog::output(const engine::BuildStep&, engine::BuildOutput kind,
                             std::string_view bytes) {
    if (kind == engine::BuildOutput::error)
        say(fmt::format("\x1b[91m{}\x1b[0m", bytes));
    else
        say(std::string(bytes));
}

void ClassicBuildLog::pull_progress(const engine::BuildStep&, const nlohmann::json& line) {
    write(line);
}

void ClassicBuildLog::removed(const engine::BuildStep&, const std::string& container) {
    say(fmt::format(" ---> Removed intermediate container {}\n", short_id(container)));
}

void ClassicBuildLog::finished(const engine::BuildStep&, const std::string& image) {
    say(fmt::format(" ---> {}\n", short_id(image)));
}

void ClassicBuildLog::failed(const engine::BuildStep&, const Error&) {}

void ClassicBuildLog::stage_finished(const std::string& image) {
    if (!image.empty()) write({{"aux", {{"ID", image}}}});
}

void ClassicBuildLog::note(const std::string& text) { say(text + "\n"); }

// docker-py reads the id from this line.
void ClassicBuildLog::built(const std::string& image) {
    say(fmt::format("Successfully built {}\n", short_id(image)));
}

void ClassicBuildLog::tagged(const std::string& name) {
    say(fmt::format("Successfully tagged {}\n", name));
}

void ClassicBuildLog::end(const engine::BuildResult& result) {
    if (result.failure) {
        write_failure({{"code", result.failure->code}, {"message", result.failure->message}});
    } else if (words_ == BuildWords::id_only) {
        sink_({{"stream", result.image + "\n"}});
    }
}

// Without a code: the CLI would exit with it.
void ClassicBuildLog::fail(const Error& error) { write_failure({{"message", error.message()}}); }

void ClassicBuildLog::write_failure(nlohmann::json detail) {
    for (const nlohmann::json& line : held_) sink_(line);
    const nlohmann::json message = detail["message"];
    sink_({{"errorDetail", std::move(detail)}, {"error", message}});
}

}  // namespace berth::api
