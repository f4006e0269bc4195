#include "archive/tar_writer.h"

#include "archive/tar_format.h"
#include "base/error.h"

namespace berth::archive {
namespace {

using tar_format::Field;
using tar_format::kBlock;

char flag_of(EntryType type) {
    switch (type) {
        case EntryType::file:
            return '0';
        case EntryType::hard_link:
            return '1';
        case EntryType::symlink:
            return '2';
        case EntryType::char_device:
            return '3';
        case EntryType::block_device:
            return '4';
        case EntryType::directory:
            return '5';
        case EntryType::fifo:
            return '6';
    }
    return '0';
}

bool fits_octal(std::int64_t value, Field field) {
    return value >= 0 && value < (1LL << (3 * (field.size - 1)));
}

void put_text(std::string& header, Field field, std::string_view value) {
    header.replace(field.offset, std::min(field.size, value.size()), value.substr(0, field.size));
}

// A number that does not fit is 0 here and stands in the pax header.
void put_number(std::string& header, Field field, std::int64_t value) {
    if (!fits_octal(value, field)) value = 0;
    put_text(header, field, fmt::format("{:0{}o}", value, field.size - 1));
}

struct SplitName final {
    std::string prefix;
    std::string name;
    bool fits = false;
};

// ustar holds up to 155 + 1 + 100 bytes when a slash stands in the right place.
SplitName split_name(const std::string& path) {
    if (path.size() <= tar_format::kName.size) return {"", path, true};
    const std::size_t latest = std::min(tar_format::kPrefix.size, path.size() - 2);
    const std::size_t slash = path.rfind('/', latest);
    const bool fits = slash != std::string::npos && slash != 0 &&
                      path.size() - slash - 1 <= tar_format::kName.size;
    if (!fits) return {"", path.substr(0, tar_format::kName.size), false};
    return {path.substr(0, slash), path.substr(slash + 1), true};
}

void finish_header(std::string& header, char type) {
    header[tar_format::kType] = type;
    put_text(header, tar_format::kMagic,
             std::string_view("ustar\0"
                              "00",
                              8));
    put_text(header, tar_format::kChecksum, "        ");
    unsigned sum = 0;
    for (const char byte : header) sum += static_cast<unsigned char>(byte);
    put_text(header, tar_format::kChecksum, fmt::format("{:06o}", sum));
    header[tar_format::kChecksum.offset + 6] = '\0';
}

bool is_ascii(std::string_view text) {
    for (const char byte : text)
        if ((byte & 0x80) != 0) return false;
    return true;
}

std::string pax_time(Timestamp at) {
    std::int64_t seconds = at.ns / 1'000'000'000;
    std::int64_t fraction = at.ns % 1'000'000'000;
    if (fraction == 0) return std::to_string(seconds);
    if (fraction < 0) {
        // The reader of "-S.F" takes the fraction away from -S as well.
        return fmt::format("-{}.{:09}", -seconds, -fraction);
    }
    return fmt::format("{}.{:09}", seconds, fraction);
}

std::string pax_records(const TarEntry& entry, const SplitName& name, TarTimes times) {
    std::string records;
    const auto add = [&records](std::string_view key, std::string_view value) {
        records += tar_format::pax_record(key, value);
    };
    if (!name.fits || !is_ascii(entry.path)) add("path", entry.path);
    if (entry.link_target.size() > tar_format::kLinkName.size || !is_ascii(entry.link_target))
        add("linkpath", entry.link_target);
    if (!fits_octal(entry.size, tar_format::kSize)) add("size", std::to_string(entry.size));
    if (!fits_octal(entry.uid, tar_format::kUid)) add("uid", std::to_string(entry.uid));
    if (!fits_octal(entry.gid, tar_format::kGid)) add("gid", std::to_string(entry.gid));
    const std::int64_t seconds = entry.modified.ns / 1'000'000'000;
    const bool fraction = times == TarTimes::nanoseconds && entry.modified.ns % 1'000'000'000 != 0;
    if (fraction)
        add("mtime", pax_time(entry.modified));
    else if (entry.modified.ns < 0 || !fits_octal(seconds, tar_format::kMtime))
        add("mtime", std::to_string(seconds));
    for (const auto& [key, value] : entry.xattrs) add("SCHILY.xattr." + key, value);
    return records;
}

std::string padded(std::string bytes) {
    bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock, '\0');
    return bytes;
}

}  // namespace

void TarWriter::write_header(const TarEntry& entry, const std::string& more_records) {
    current_ = entry.path;
    const SplitName name = split_name(entry.path);
    const std::string records = pax_records(entry, name, times_) + more_records;
    if (!records.empty()) {
        std::string header(kBlock, '\0');
        put_text(header, tar_format::kName, "PaxHeaders/" + name.name.substr(0, 80));
        put_number(header, tar_format::kMode, 0644);
        put_number(header, tar_format::kUid, 0);
        put_number(header, tar_format::kGid, 0);
        put_number(header, tar_format::kSize, static_cast<std::int64_t>(records.size()));
        put_number(header, tar_format::kMtime, 0);
        finish_header(header, 'x');
        below_.write(header + padded(records));
    }
    std::string header(kBlock, '\0');
    put_text(header, tar_format::kName, name.name);
    put_text(header, tar_format::kPrefix, name.prefix);
    put_number(header, tar_format::kMode, entry.mode & 07777);
    put_number(header, tar_format::kUid, entry.uid);
    put_number(header, tar_format::kGid, entry.gid);
    put_number(header, tar_format::kSize, entry.size);
    put_number(header, tar_format::kMtime, entry.modified.ns / 1'000'000'000);
    put_text(header, tar_format::kLinkName, entry.link_target);
    put_text(header, tar_format::kUserName, entry.user_name.substr(0, 31));
    put_text(header, tar_format::kGroupName, entry.group_name.substr(0, 31));
    put_number(header, tar_format::kDeviceMajor, entry.device_major);
    put_number(header, tar_format::kDeviceMinor, entry.device_minor);
    finish_header(header, flag_of(entry.type));
    below_.write(header);
}

void TarWriter::add(TarEntry entry, std::string_view content) {
    entry.size = static_cast<std::int64_t>(content.size());
    if (entry.type == EntryType::file) {
        begin_file(entry);
        return write(content);
    }
    if (!content.empty())
        throw Error(ErrorKind::internal, "tar: {}: a {} has no content", entry.path,
                    to_string(entry.type));
    end_content();
    write_header(entry);
}

void TarWriter::begin_file(const TarEntry& entry) {
    end_content();
    write_header(entry);
    left_ = static_cast<std::uint64_t>(entry.size);
    padding_ = static_cast<std::uint64_t>(tar_format::padding_of(entry.size));
}

void TarWriter::begin_sparse(const TarEntry& entry, const std::vector<TarChunk>& chunks) {
    end_content();
    std::string map = fmt::format("{}\n", chunks.size());
    std::int64_t stored = 0;
    for (const TarChunk& chunk : chunks) {
        map += fmt::format("{}\n{}\n", chunk.offset, chunk.size);
        stored += chunk.size;
    }
    map = padded(std::move(map));
    TarEntry header = entry;
    header.path = "GNUSparseFile.0/" + entry.path.substr(entry.path.rfind('/') + 1).substr(0, 80);
    header.size = static_cast<std::int64_t>(map.size()) + stored;
    write_header(header,
                 tar_format::pax_record("GNU.sparse.major", "1") +
                     tar_format::pax_record("GNU.sparse.minor", "0") +
                     tar_format::pax_record("GNU.sparse.name", entry.path) +
                     tar_format::pax_record("GNU.sparse.realsize", std::to_string(entry.size)));
    current_ = entry.path;
    below_.write(map);
    left_ = static_cast<std::uint64_t>(stored);
    padding_ = static_cast<std::uint64_t>(tar_format::padding_of(stored));
}

void TarWriter::write(std::string_view bytes) {
    if (bytes.size() > left_)
        throw Error(ErrorKind::internal, "tar: {}: more content than announced", current_);
    left_ -= bytes.size();
    below_.write(bytes);
}

void TarWriter::add_from(const TarEntry& entry, Source& source) {
    begin_file(entry);
    std::string block(kBlockSize, '\0');
    while (const std::size_t count = source.read(block)) {
        if (count > left_)
            throw Error(ErrorKind::invalid, "tar: {}: the file grew while it was read", entry.path);
        write(std::string_view(block).substr(0, count));
    }
    if (left_ != 0)
        throw Error(ErrorKind::invalid, "tar: {}: the file shrank while it was read", entry.path);
}

void TarWriter::end_content() {
    if (left_ != 0)
        throw Error(ErrorKind::internal, "tar: {}: {} bytes of content are missing", current_,
                    left_);
    if (padding_ != 0) below_.write(std::string(padding_, '\0'));
    padding_ = 0;
}

void TarWriter::finish() {
    end_content();
    below_.write(std::string(2 * kBlock, '\0'));
}

}  // namespace berth::archive
