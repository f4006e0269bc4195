// The bytes of a tar archive: the 512-byte header block, its numbers and checksum, pax records.
// Pure; used by the reader and the writer. Malformed input throws Error{invalid}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace berth::archive::tar_format {

constexpr std::size_t kBlock = 512;

struct Field final {
    std::size_t offset;
    std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kLinkName{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kUserName{265, 32};
constexpr Field kGroupName{297, 32};
constexpr Field kDeviceMajor{329, 8};
constexpr Field kDeviceMinor{337, 8};
constexpr Field kPrefix{345, 155};
// GNU sparse, old form.
constexpr std::size_t kSparseEntries = 386;
constexpr std::size_t kSparseExtended = 482;
constexpr Field kSparseRealSize{483, 12};
constexpr std::size_t kSparseEntrySize = 24;

/// The bytes up to the first NUL.
std::string text(std::string_view header, Field field);
/// Octal, or base-256 when the first bit is set; blank reads as 0.
std::int64_t number(std::string_view header, Field field);
std::int64_t decimal(std::string_view text);
bool checksum_matches(std::string_view header);
bool is_zero_block(std::string_view header);

using Records = std::map<std::string, std::string, std::less<>>;
/// Adds the records of a pax header to `into`; repeated GNU.sparse.offset and .numbytes records
/// (sparse form 0.0) are joined into GNU.sparse.map.
void parse_pax(std::string_view text, Records& into);
/// One record: "LENGTH KEY=VALUE\n".
std::string pax_record(std::string_view key, std::string_view value);
/// "1700000000.123456789" as pax writes times.
Timestamp parse_time(std::string_view text);
/// Undoes LIBARCHIVE.xattr's encodings: percent signs in names, base64 in values.

constexpr std::int64_t padding_of(std::int64_t size) {
    constexpr auto kUnit = static_cast<std::int64_t>(kBlock);
    return (kUnit - size % kUnit) % kUnit;
}

}  // namespace berth::archive::tar_format
