// Entries of the journal as `journalctl -o export` writes them, read back as records of a
// container's log. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/containers/log_reader.h"

namespace berth::engine {

using JournalEntry = std::map<std::string, std::string>;

/// Bytes in, whole entries out.
class JournalParser final {
  public:
    void feed(std::string_view bytes) { pending_.append(bytes); }
    /// Nothing until more bytes complete an entry. Throws Error{invalid} for what is no entry.
    std::optional<JournalEntry> next();

  private:
    std::string pending_;
};

/// The record of an entry that the log driver wrote.
LogRecord record_of(const JournalEntry& entry);

}  // namespace berth::engine
