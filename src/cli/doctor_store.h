// `berth doctor --store`: reads all images and layers and says what is broken or left over. The
// engine does it when it runs; else berth-engine is started for that alone, in namespaces of its
// own.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace berth::cli {

enum class StoreFix { no, yes };
/// The report (engine/image/store_check.h). Throws Error.
nlohmann::json examine_store(const std::string& data_root, StoreFix fix);
/// Lines for people.
std::string store_text(const nlohmann::json& report, StoreFix fix);
/// Nothing is broken, or nothing any more.
bool store_is_whole(const nlohmann::json& report, StoreFix fix);

}  // namespace berth::cli
