#include "engine/model/names.h"

#include <array>
#include <cstdint>
#include <random>
#include <string_view>

namespace berth::engine::model {

namespace {

constexpr std::array<std::string_view, 60> kAdjectives = {
    "able",     "airy",  "amber",  "brave",  "breezy",  "bright",  "brisk",  "calm",   "candid",
    "cheerful", "clear", "clever", "cosy",   "curious", "daring",  "deft",   "eager",  "early",
    "earnest",  "fair",  "fleet",  "fond",   "frank",   "fresh",   "gentle", "glad",   "golden",
    "grand",    "happy", "hardy",  "honest", "humble",  "jolly",   "keen",   "kind",   "lively",
    "lucid",    "merry", "mild",   "nimble", "noble",   "patient", "placid", "plucky", "polite",
    "prompt",   "proud", "quick",  "quiet",  "ready",   "robust",  "serene", "silver", "steady",
    "sunny",    "swift", "tidy",   "trusty", "warm",    "witty"};

// Navigators, ship builders, oceanographers and those who made computers sail.
constexpr std::array<std::string_view, 64> kSurnames = {
    "amundsen", "anning",   "baret",    "barents",   "beaufort",   "bering",   "blackwell",
    "boole",    "bowditch", "cabot",    "carson",    "cartier",    "cousteau", "curie",
    "darwin",   "davis",    "dias",     "dijkstra",  "drake",      "earle",    "ekman",
    "euler",    "fitzroy",  "franklin", "frobisher", "fulton",     "galilei",  "gama",
    "germain",  "halley",   "hamilton", "harrison",  "hopper",     "hudson",   "humboldt",
    "huygens",  "johnson",  "knuth",    "lamport",   "lovelace",   "magellan", "maury",
    "mercator", "mitchell", "nansen",   "noether",   "peary",      "piccard",  "polo",
    "pytheas",  "ritchie",  "ross",     "scott",     "shackleton", "shannon",  "slocum",
    "sverdrup", "tasman",   "tharp",    "thompson",  "torres",     "turing",   "vespucci",
    "wegener"};

}  // namespace

std::string make_name(const std::function<bool(const std::string&)>& taken,
                      const std::string& short_id) {
    std::random_device random;
    for (int attempt = 0; attempt < 6; ++attempt) {
        std::string name(kAdjectives[random() % kAdjectives.size()]);
        name += '_';
        name += kSurnames[random() % kSurnames.size()];
        if (attempt > 0) name += std::to_string(random() % 10);
        if (!taken(name)) return name;
    }
    return short_id;
}

}  // namespace berth::engine::model
