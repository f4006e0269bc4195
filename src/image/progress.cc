#include "image/progress.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace berth::image {
namespace {

constexpr int kBarCells = 50;

std::string line_of(const nlohmann::ordered_json& value) {
    return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\r\n";
}

/// The HTTP status that stands in errorDetail for the kinds where Docker puts one.
int code_of(ErrorKind kind) { return kind == ErrorKind::unauthorized ? 401 : 0; }

}  // namespace

std::string human_size(std::int64_t bytes) {
    constexpr std::array<std::string_view, 7> kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < kUnits.size()) {
        value /= 1000.0;
        ++unit;
    }
    return fmt::format("{:.4g}{}", value, kUnits[unit]);
}

std::string progress_bar(const ProgressDetail& detail) {
    if (detail.current <= 0 && detail.total <= 0) return "";
    if (detail.total <= 0 || detail.current > detail.total)
        return fmt::format("{:>8}", human_size(detail.current));
    const int cells = static_cast<int>(static_cast<double>(detail.current) /
                                       static_cast<double>(detail.total) * kBarCells);
    return fmt::format("[{}>{}] {:>8}/{}", std::string(static_cast<std::size_t>(cells), '='),
                       std::string(static_cast<std::size_t>(kBarCells - cells), ' '),
                       human_size(detail.current), human_size(detail.total));
}

std::string to_line(const Progress& progress) {
    nlohmann::ordered_json line = nlohmann::ordered_json::object();
    if (!progress.stream.empty()) {
        line["stream"] = progress.stream;
        return line_of(line);
    }
    if (progress.pushed) {
        line["progressDetail"] = nlohmann::ordered_json::object();
        line["aux"] = {{"Tag", progress.pushed->tag},
                       {"Digest", progress.pushed->digest},
                       {"Size", progress.pushed->size}};
        return line_of(line);
    }
    line["status"] = progress.status;
    if (progress.detail == Progress::Detail::empty) {
        line["progressDetail"] = nlohmann::ordered_json::object();
    } else if (progress.detail == Progress::Detail::bytes) {
        auto& detail = line["progressDetail"] = nlohmann::ordered_json::object();
        if (progress.bytes.current > 0) detail["current"] = progress.bytes.current;
        if (progress.bytes.total > 0) detail["total"] = progress.bytes.total;
        line["progress"] = progress_bar(progress.bytes);
    }
    if (!progress.id.empty()) line["id"] = progress.id;
    return line_of(line);
}

std::string error_line(const Error& error) {
    nlohmann::ordered_json line = nlohmann::ordered_json::object();
    nlohmann::ordered_json detail = nlohmann::ordered_json::object();
    if (const int code = code_of(error.kind()); code != 0) detail["code"] = code;
    detail["message"] = error.message();
    line["errorDetail"] = std::move(detail);
    line["error"] = error.message();
    return line_of(line);
}

}  // namespace berth::image
