#include "buildkit/checks.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "buildkit/subrequest.h"

namespace berth::buildkit {

namespace {
Attributes arguments_of(const Job& job) {
    Attributes arguments;
    for (const auto& [name, value] : job.options.request.arguments)
        if (value) arguments[name] = *value;
    return arguments;
}

/// Of an image that is here; nothing is pulled for a check.
std::optional<std::vector<std::string>> environment_of(const engine::Images& images,
                                                       const std::string& image) {
    try {
        const nlohmann::json description = images.inspect(image, "");
        return JsonReader(description).object("Config").strings("Env");
    } catch (const Error&) {
        return std::nullopt;
    }
}

build::LintRequest lint_request(const Job& job, const build::Dockerfile& file) {
    build::LintRequest request;
    request.settings = lint_settings(file, arguments_of(job));
    request.environment = [&images = job.engine.images()](const std::string& image) {
        return environment_of(images, image);
    };
    return request;
}
}  // namespace

void check_dockerfile(const Job& job, const std::string& text) {
    const build::Dockerfile file = build::parse_dockerfile(text);
    const build::LintRequest request = lint_request(job, file);
    std::set<std::string> rules;
    for (const build::LintWarning& warning : build::lint(file, request)) {
        rules.insert(warning.rule->name);
        job.progress->warn({.text = short_text(warning),
                            .detail = warning.rule->description,
                            .url = warning.rule->url,
                            .filename = job.options.filename,
                            .source = text,
                            .line = warning.line,
                            .last_line = warning.last_line});
    }
    if (request.settings.is_error && !rules.empty())
        throw Error(ErrorKind::invalid, "lint violation found for rules: {}",
                    fmt::join(rules, ", "));
}

Attributes answer_subrequest(const Job& job, std::string text) {
    Subrequest request;
    request.name = job.options.subrequest;
    request.filename = job.options.filename;
    request.target = job.options.request.target;
    request.arguments = arguments_of(job);
    request.lint = lint_request(job, build::parse_dockerfile(text));
    request.text = std::move(text);
    return answer(request);
}

}  // namespace berth::buildkit
