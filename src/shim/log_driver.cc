#include "shim/log_driver.h"

#include "shim/log_encoder.h"
#include "shim/log_file.h"
#include "shim/log_journal.h"

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

}  // namespace

std::unique_ptr<LogDriver> make_log_driver(EventLoop& loop, const LogConfig& config) {
    if (config.driver == "json-file") return std::make_unique<JsonFileLog>(config);
    if (config.driver == "journald") return std::make_unique<JournalLog>(loop, config);
    return nullptr;
}

}  // namespace berth::shim
