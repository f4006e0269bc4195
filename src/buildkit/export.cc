// What becomes of a build's result. Exporters: moby and image (names in the image store), local and
// tar (files for the client); without one the result stays in the cache.
#include "base/text.h"
#include "buildkit/methods.h"
#include "buildkit/output.h"
#include "engine/engine.h"
#include "image/reference.h"

namespace berth::buildkit {

namespace {
bool is_image(const Typed& exporter) { return exporter.type == "moby" || exporter.type == "image"; }

bool is_files(const Typed& exporter) { return exporter.type == "local" || exporter.type == "tar"; }

async::Task<> name_image(Service& service, std::shared_ptr<Build> build, Vertex vertex,
                         const std::string& image, std::string name) {
    const auto reference = image::Reference::parse(name).with_default_tag();
    const std::string shown = "naming to " + reference.str();
    build->progress->transfer(vertex, shown, 0, 0);
    std::string repository = reference.familiar_name();
    std::string tag = reference.tag().value_or("latest");
    co_await service.engine().images().tag(image, std::move(repository), std::move(tag));
    build->progress->transferred(vertex, shown);
}

/// All the names, as clients show them.
async::Task<std::string> name_images(Service& service, std::shared_ptr<Build> build,
                                     const Typed& exporter, const std::string& image) {
    const Vertex vertex = build->progress->begin("exporting to image");
    const std::string writing = "writing image " + image;
    build->progress->transfer(vertex, writing, 0, 0);
    build->progress->transferred(vertex, writing);
    const auto names = exporter.attributes.find("name");
    std::string whole;
    if (names != exporter.attributes.end())
        for (std::string& name : copied_words_of(names->second, ",")) {
            whole +=
                (whole.empty() ? "" : ",") + image::Reference::parse(name).with_default_tag().str();
            co_await name_image(service, build, vertex, image, std::move(name));
        }
    build->progress->complete(vertex);
    co_return whole;
}
}  // namespace

async::Task<Attributes> export_result(Service& service, std::shared_ptr<Build> build,
                                      std::string image) {
    Attributes response;
    const auto& exporters = build->request.exporters;
    for (std::size_t i = 0; i < exporters.size(); ++i) {
        const Typed& exporter = exporters[i];
        if (!is_image(exporter) && !is_files(exporter))
            throw Error(ErrorKind::unsupported, "the output \"{}\" is not supported",
                        exporter.type);
        if (image.empty()) throw Error(ErrorKind::invalid, "there is no result to export");
        if (is_files(exporter)) {
            co_await send_output(service, build, i, image);
            continue;
        }
        const std::string names = co_await name_images(service, build, exporter, image);
        if (!names.empty()) response["image.name"] = names;
        response["containerimage.config.digest"] = image;
        response["containerimage.digest"] = image;
    }
    co_return response;
}

}  // namespace berth::buildkit
