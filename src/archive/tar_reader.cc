#include "archive/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"

namespace berth::archive {
namespace {

using tar_format::Field;
using tar_format::kBlock;

constexpr char kZeros[64U << 10] = {};

bool is_gnu_long_name(char type) { return type == 'L' || type == 'K'; }

EntryType type_of(char flag, const std::string& path) {
    switch (flag) {
        case '0':
        case '\0':
        case '7':
        case 'S':
            // Archives from before ustar mark a directory by the slash alone.
            return path.ends_with('/') && flag == '\0' ? EntryType::directory : EntryType::file;
        case '1':
            return EntryType::hard_link;
        case '2':
            return EntryType::symlink;
        case '3':
            return EntryType::char_device;
        case '4':
            return EntryType::block_device;
        case '5':
        case 'D':
            return EntryType::directory;
        case '6':
            return EntryType::fifo;
        default:
            throw Error(ErrorKind::invalid, "unknown entry type 0x{:02x}",
                        static_cast<unsigned>(static_cast<unsigned char>(flag)));
    }
}

void apply_xattr(TarEntry& entry, std::string_view key, const std::string& value) {
    constexpr std::string_view kSchily = "SCHILY.xattr.";
    constexpr std::string_view kLibarchive = "LIBARCHIVE.xattr.";
    if (key.starts_with(kSchily))
        entry.xattrs.insert_or_assign(std::string(key.substr(kSchily.size())), value);
    else if (key.starts_with(kLibarchive))
        entry.xattrs.try_emplace(decode_percent_codes(key.substr(kLibarchive.size())),
                                 decode_base64(value));
}

void apply_record(TarEntry& entry, const std::string& key, const std::string& value) {
    if (key.find(".xattr.") != std::string::npos) return apply_xattr(entry, key, value);
    if (value.empty()) return;  // the header's own value counts again
    if (key == "path")
        entry.path = value;
    else if (key == "linkpath")
        entry.link_target = value;
    else if (key == "size")
        entry.size = tar_format::decimal(value);
    else if (key == "uid")
        entry.uid = tar_format::decimal(value);
    else if (key == "gid")
        entry.gid = tar_format::decimal(value);
    else if (key == "uname")
        entry.user_name = value;
    else if (key == "gname")
        entry.group_name = value;
    else if (key == "mtime")
        entry.modified = tar_format::parse_time(value);
}

}  // namespace

std::string_view to_string(EntryType type) {
    switch (type) {
        case EntryType::file:
            return "file";
        case EntryType::directory:
            return "directory";
        case EntryType::symlink:
            return "symbolic link";
        case EntryType::hard_link:
            return "hard link";
        case EntryType::char_device:
            return "character device";
        case EntryType::block_device:
            return "block device";
        case EntryType::fifo:
            return "fifo";
    }
    return "file";
}

TarReader::TarReader(Source& below, const TarLimits& limits, TarTrace* trace)
    : below_(below), limits_(limits), trace_(trace), buffer_(kBlockSize, '\0') {}

// Makes at least `need` bytes available in the buffer; false when the stream ends before.
bool TarReader::fill(std::size_t need) {
    if (end_ - begin_ >= need) return true;
    if (begin_ != 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    while (end_ < need) {
        const std::size_t count = below_.read(std::span(buffer_).subspan(end_));
        if (count == 0) return false;
        end_ += count;
    }
    return true;
}

std::string_view TarReader::take_block() {
    if (!fill(kBlock)) throw Error(ErrorKind::invalid, "the archive is truncated");
    const std::string_view block = std::string_view(buffer_).substr(begin_, kBlock);
    begin_ += kBlock;
    if (trace_ != nullptr) trace_->other(block);
    return block;
}

void TarReader::skip(std::uint64_t size) {
    while (size != 0) {
        if (!fill(1)) throw Error(ErrorKind::invalid, "the archive is truncated");
        const std::size_t count = std::min<std::uint64_t>(size, end_ - begin_);
        if (trace_ != nullptr) trace_->other(std::string_view(buffer_).substr(begin_, count));
        begin_ += count;
        size -= count;
    }
}

std::optional<TarEntry> TarReader::next() {
    if (archive_ended_) return std::nullopt;
    try {
        skip(stored_ + padding_);
        stored_ = padding_ = 0;
        size_ = logical_ = 0;
        sparse_ = false;
        chunks_.clear();
        chunk_ = 0;
        auto entry = read_member();
        archive_ended_ = !entry;
        return entry;
    } catch (Error& error) {
        throw error.while_("tar: {}", current_);
    }
}

bool TarReader::read_end_marker() {
    if (!fill(kBlock)) return true;
    if (!tar_format::is_zero_block(take_block()))
        throw Error(ErrorKind::invalid, "data follows a lone block of zeros");
    return true;
}

std::optional<TarEntry> TarReader::read_member() {
    Records local;
    std::string long_path;
    std::string long_link;
    std::size_t extension_left = limits_.max_pax_size;
    bool extended = false;
    for (;;) {
        if (!fill(1)) {
            if (extended) throw Error(ErrorKind::invalid, "the archive is truncated");
            return std::nullopt;
        }
        const std::string header(take_block());
        if (tar_format::is_zero_block(header) && read_end_marker()) return std::nullopt;
        if (!tar_format::checksum_matches(header))
            throw Error(ErrorKind::invalid, "the checksum of the header that follows is wrong");
        const char type = header[tar_format::kType];
        extended = extended || type != 'g';
        if (type == 'g') {
            add_global(read_extension(header, extension_left));
        } else if (type == 'x') {
            tar_format::parse_pax(read_extension(header, extension_left), local);
        } else if (is_gnu_long_name(type)) {
            std::string name = read_extension(header, extension_left);
            name = name.substr(0, name.find('\0'));
            (type == 'L' ? long_path : long_link) = std::move(name);
        } else if (type == 'V') {  // a volume label
            extended = false;
        } else {
            TarEntry entry = parse_header(header);
            if (!long_path.empty()) entry.path = long_path;
            if (!long_link.empty()) entry.link_target = long_link;
            Records records = local;
            records.insert(global_.begin(), global_.end());
            finish_entry(entry, type, records);
            if (type == 'S') read_old_sparse(entry, header);
            start_content(entry);
            return entry;
        }
    }
}

// `allowed` is what is left for the extended headers of one entry, of which there may be many.
std::string TarReader::read_extension(std::string_view header, std::size_t& allowed) {
    const std::int64_t size = tar_format::number(header, tar_format::kSize);
    if (size < 0 || static_cast<std::uint64_t>(size) > allowed)
        throw Error(ErrorKind::invalid,
                    "the extended header that follows has {} bytes, the limit is {}", size,
                    limits_.max_pax_size);
    std::string text;
    auto left = static_cast<std::size_t>(size);
    allowed -= left;
    while (left != 0) {
        const std::string_view piece = take_block().substr(0, left);
        text += piece;
        left -= piece.size();
    }
    return text;
}

// They stay for the rest of the archive, and each entry takes a copy.
void TarReader::add_global(std::string_view records) {
    tar_format::parse_pax(records, global_);
    std::size_t size = 0;
    for (const auto& [key, value] : global_) size += key.size() + value.size();
    if (size > limits_.max_global_pax_size)
        throw Error(ErrorKind::invalid, "the global extended headers hold more than {} bytes",
                    limits_.max_global_pax_size);
}

TarEntry TarReader::parse_header(std::string_view header) const {
    TarEntry entry;
    entry.path = tar_format::text(header, tar_format::kName);
    entry.link_target = tar_format::text(header, tar_format::kLinkName);
    entry.mode = static_cast<mode_t>(tar_format::number(header, tar_format::kMode)) & 07777;
    entry.uid = tar_format::number(header, tar_format::kUid);
    entry.gid = tar_format::number(header, tar_format::kGid);
    entry.size = tar_format::number(header, tar_format::kSize);
    const std::int64_t seconds = tar_format::number(header, tar_format::kMtime);
    entry.modified = tar_format::parse_time(std::to_string(seconds));
    const std::string magic = tar_format::text(header, tar_format::kMagic);
    if (!magic.starts_with("ustar")) return entry;
    entry.user_name = tar_format::text(header, tar_format::kUserName);
    entry.group_name = tar_format::text(header, tar_format::kGroupName);
    const char type = header[tar_format::kType];
    if (type == '3' || type == '4') {
        entry.device_major =
            static_cast<std::uint32_t>(tar_format::number(header, tar_format::kDeviceMajor));
        entry.device_minor =
            static_cast<std::uint32_t>(tar_format::number(header, tar_format::kDeviceMinor));
    }
    // GNU's own form ("ustar  ") keeps times and sparse maps where ustar has the prefix.
    if (magic == "ustar") {
        const std::string prefix = tar_format::text(header, tar_format::kPrefix);
        if (!prefix.empty()) entry.path = prefix + "/" + entry.path;
    }
    return entry;
}

// Puts the extended records in place, then checks what they say.
void TarReader::finish_entry(TarEntry& entry, char type, const Records& records) {
    current_ = entry.path;
    for (const auto& [key, value] : records) apply_record(entry, key, value);
    if (const auto name = records.find("GNU.sparse.name"); name != records.end())
        entry.path = name->second;
    if (!entry.path.empty()) current_ = entry.path;
    entry.type = type_of(type, entry.path);
    if (entry.path.empty()) throw Error(ErrorKind::invalid, "the entry has no name");
    if (entry.path.find('\0') != std::string::npos ||
        entry.link_target.find('\0') != std::string::npos)
        throw Error(ErrorKind::invalid, "the name holds a NUL byte");
    if (entry.path.size() > limits_.max_path || entry.link_target.size() > limits_.max_path) {
        current_ = current_.substr(0, 64) + "…";
        throw Error(ErrorKind::invalid, "the name is longer than {} bytes", limits_.max_path);
    }
    if (++entries_ > limits_.max_entries)
        throw Error(ErrorKind::invalid, "the archive has more than {} entries{}",
                    limits_.max_entries, raised_by(limits_.entries_setting));
    if (entry.size < 0 || entry.uid < 0 || entry.gid < 0)
        throw Error(ErrorKind::invalid, "a number in the header is negative");
    // Only files have content; what others say as their size is noise that tar programs ignore.
    if (entry.type != EntryType::file) entry.size = 0;
    stored_ = static_cast<std::uint64_t>(entry.size);
    padding_ = static_cast<std::uint64_t>(tar_format::padding_of(entry.size));
    if (entry.type == EntryType::file) read_pax_sparse(entry, records);
}

void TarReader::add_chunk(std::int64_t offset, std::int64_t size) {
    if (chunks_.size() >= limits_.max_sparse_chunks)
        throw Error(ErrorKind::invalid, "the file has more than {} pieces",
                    limits_.max_sparse_chunks);
    chunks_.push_back({offset, size});
}

void TarReader::read_old_sparse(TarEntry& entry, std::string_view header) {
    sparse_ = true;
    entry.size = tar_format::number(header, tar_format::kSparseRealSize);
    const auto add_all = [this](std::string_view block, std::size_t start, std::size_t count) {
        for (std::size_t at = 0; at < count; ++at) {
            const std::size_t offset = start + at * tar_format::kSparseEntrySize;
            if (block[offset] == '\0') return;
            add_chunk(tar_format::number(block, Field{offset, 12}),
                      tar_format::number(block, Field{offset + 12, 12}));
        }
    };
    add_all(header, tar_format::kSparseEntries, 4);
    bool more = header[tar_format::kSparseExtended] != '\0';
    while (more) {
        const std::string block(take_block());
        constexpr std::size_t kEntriesInBlock = 21;
        add_all(block, 0, kEntriesInBlock);
        more = block[kEntriesInBlock * tar_format::kSparseEntrySize] != '\0';
    }
}

void TarReader::read_pax_sparse(TarEntry& entry, const Records& records) {
    const auto value = [&records](std::string_view key) -> std::string {
        const auto found = records.find(key);
        return found == records.end() ? "" : found->second;
    };
    const std::string map = value("GNU.sparse.map");
    const std::string major = value("GNU.sparse.major");
    if (major.empty() && map.empty()) return;
    sparse_ = true;
    std::string real_size = value("GNU.sparse.realsize");
    if (real_size.empty()) real_size = value("GNU.sparse.size");
    entry.size = tar_format::decimal(real_size);
    if (major == "1") return read_sparse_map();
    for (std::string_view rest = map; !rest.empty();) {
        const auto field = [&rest] {
            const std::string_view digits = rest.substr(0, rest.find(','));
            rest.remove_prefix(std::min(digits.size() + 1, rest.size()));
            return tar_format::decimal(digits);
        };
        const std::int64_t offset = field();
        add_chunk(offset, field());
    }
}

// Form 1.0: decimal lines in whole blocks at the start of the stored content.
void TarReader::read_sparse_map() {
    std::string text;
    std::size_t position = 0;
    const auto line = [&] {
        std::size_t end = text.find('\n', position);
        while (end == std::string::npos) {
            if (stored_ < kBlock || text.size() - position > kBlock)
                throw Error(ErrorKind::invalid, "malformed sparse map");
            text.erase(0, position);
            position = 0;
            text += take_block();
            stored_ -= kBlock;
            end = text.find('\n');
        }
        const std::string_view digits = std::string_view(text).substr(position, end - position);
        position = end + 1;
        return tar_format::decimal(digits);
    };
    for (std::int64_t left = line(); left > 0; --left) {
        const std::int64_t offset = line();
        add_chunk(offset, line());
    }
}

void TarReader::start_content(TarEntry& entry) {
    size_ = entry.size;
    entry.sparse = sparse_;
    if (sparse_) {
        std::int64_t position = 0;
        std::uint64_t data = 0;
        for (const TarChunk& chunk : chunks_) {
            if (chunk.offset < position || chunk.size < 0 || chunk.offset > size_ ||
                chunk.size > size_ - chunk.offset)
                throw Error(ErrorKind::invalid, "malformed sparse map");
            position = chunk.offset + chunk.size;
            data += static_cast<std::uint64_t>(chunk.size);
        }
        if (data > stored_) throw Error(ErrorKind::invalid, "malformed sparse map");
    }
    total_ += static_cast<std::uint64_t>(size_);
    if (size_ < 0 || total_ > limits_.max_total_size)
        throw Error(ErrorKind::invalid,
                    "the archive's content is larger than the limit of {} bytes{}",
                    limits_.max_total_size, raised_by(limits_.size_setting));
}

std::string_view TarReader::view_stored(std::uint64_t limit) {
    if (!fill(1)) throw Error(ErrorKind::invalid, "tar: {}: the archive is truncated", current_);
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(limit, end_ - begin_));
    const std::string_view view = std::string_view(buffer_).substr(begin_, count);
    begin_ += count;
    stored_ -= count;
    logical_ += static_cast<std::int64_t>(count);
    if (trace_ != nullptr) trace_->content(static_cast<std::int64_t>(count));
    return view;
}

bool TarReader::at_hole() {
    if (!sparse_ || logical_ == size_) return false;
    while (chunk_ < chunks_.size() && logical_ >= chunks_[chunk_].offset + chunks_[chunk_].size)
        ++chunk_;
    return chunk_ == chunks_.size() || logical_ < chunks_[chunk_].offset;
}

std::int64_t TarReader::hole_end() const {
    return chunk_ < chunks_.size() ? chunks_[chunk_].offset : size_;
}

std::int64_t TarReader::skip_hole() {
    if (!at_hole()) return 0;
    return hole_end() - std::exchange(logical_, hole_end());
}

std::string_view TarReader::read_view() {
    if (logical_ == size_) return {};
    if (!sparse_) return view_stored(stored_);
    if (!at_hole()) {
        const TarChunk& chunk = chunks_[chunk_];
        return view_stored(static_cast<std::uint64_t>(chunk.offset + chunk.size - logical_));
    }
    const auto count = std::min<std::int64_t>(hole_end() - logical_, sizeof kZeros);
    logical_ += count;
    return {kZeros, static_cast<std::size_t>(count)};
}

std::size_t TarReader::read(std::span<char> buffer) {
    // A sparse or partly buffered content goes through read_view(); what it gives beyond the
    // buffer's size is given back.
    const std::string_view view = read_view();
    const std::size_t count = std::min(view.size(), buffer.size());
    if (count != 0) std::memcpy(buffer.data(), view.data(), count);
    const std::size_t surplus = view.size() - count;
    if (surplus != 0) {
        logical_ -= static_cast<std::int64_t>(surplus);
        if (view.data() != kZeros) {
            begin_ -= surplus;
            stored_ += surplus;
            if (trace_ != nullptr) trace_->content(-static_cast<std::int64_t>(surplus));
        }
    }
    return count;
}

std::vector<TarChunk> TarReader::stored_chunks() const {
    if (sparse_) return chunks_;
    return {{0, size_}};
}

void TarReader::drain_archive() {
    do {
        if (trace_ != nullptr)
            trace_->other(std::string_view(buffer_).substr(begin_, end_ - begin_));
        begin_ = end_ = 0;
    } while (fill(1));
}

}  // namespace berth::archive
