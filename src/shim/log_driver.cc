#include "shim/log_driver.h"

#include "shim/log_encoder.h"
#include "shim/log_file.h"
#include "shim/log_journal.h"
#include "shim/log_local.h"
#include "shim/log_syslog.h"

namespace berth::shim {
namespace {

class JsonFileLog final : public LogDriver {
  public:
    explicit JsonFileLog(const LogConfig& config)
        : file_(config), out_("stdout", config.attributes), err_("stderr", config.attributes) {}

    void write(unsigned char stream, std::string_view bytes) override {
        encoder(stream).feed(bytes, [this](std::string_view record) { file_.append(record); });
        file_.flush();
    }
    void end(unsigned char stream) override {
        encoder(stream).finish([this](std::string_view record) { file_.append(record); });
        file_.flush();
    }

  private:
    LogEncoder& encoder(unsigned char stream) { return stream == 2 ? err_ : out_; }

    LogFile file_;
    LogEncoder out_, err_;
};

/// A log service, and a file that is read in its place.
class CopiedLog final : public LogDriver {
  public:
    CopiedLog(std::unique_ptr<LogDriver> log, std::unique_ptr<LogDriver> copy)
        : log_(std::move(log)), copy_(std::move(copy)) {}

    // The copy first: it does not depend on others.
    void write(unsigned char stream, std::string_view bytes) override {
        copy_->write(stream, bytes);
        log_->write(stream, bytes);
    }
    void end(unsigned char stream) override {
        copy_->end(stream);
        log_->end(stream);
    }
    bool full() const override { return log_->full(); }
    bool idle() const override { return log_->idle(); }
    void on_room(std::function<void()> callback) override { log_->on_room(std::move(callback)); }

  private:
    std::unique_ptr<LogDriver> log_, copy_;
};

std::unique_ptr<LogDriver> make_driver(EventLoop& loop, const LogConfig& config) {
    if (config.driver == "json-file") return std::make_unique<JsonFileLog>(config);
    if (config.driver == "local") return std::make_unique<LocalLog>(config);
    if (config.driver == "journald") return std::make_unique<JournalLog>(loop, config);
    if (config.driver == "syslog") return std::make_unique<SyslogLog>(loop, config);
    return nullptr;
}

}  // namespace

std::unique_ptr<LogDriver> make_log_driver(EventLoop& loop, const ShimConfig& config) {
    std::unique_ptr<LogDriver> log = make_driver(loop, config.log);
    if (!log || !config.log_copy) return log;
    return std::make_unique<CopiedLog>(std::move(log), make_driver(loop, *config.log_copy));
}

}  // namespace berth::shim
