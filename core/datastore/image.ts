import { AppError, badRequest } from "#core/error";
import { lineOf } from "#core/datastore/index";
import { nameId } from "#core/datastore/seed";

/** What a guest is built from. */
export interface Image {
  id: string;
  /** The engine in it, where it has one; absent = it takes whichever the version says. */
  carries?: { manager: string; version: string };
}

/** Where images are looked up: a cloud's image service, or what one machine has installed. */
export interface Images {
  /** By id; else the newest that has all of these tags. */
  find(wanted: { id: string } | { tags: string[] }): Promise<Image | undefined>;
}

/** Id of the image that stands for an engine installed on one machine; the same in every installation. */
export const installedImageId = (manager: string, line: string) => nameId("image", manager, line);

/** The images of one machine: one per installed engine, tagged with its manager and its line (`17`). */
export function installedImages(engines: { manager: string; version: string }[]): Images {
  const images = engines.map(({ manager, version }) => {
    const line = lineOf(manager, version);
    return { id: installedImageId(manager, line), tags: [manager, line], carries: { manager, version } };
  });
  return {
    find: async (wanted) =>
      images.find((one) => ("id" in wanted ? one.id === wanted.id : wanted.tags.length > 0 && wanted.tags.every((tag) => one.tags.includes(tag)))),
  };
}

/** Where nobody can be asked for images, no version can name one. */
export const noImages: Images = {
  find: () => Promise.reject(new AppError("notImplemented", "This installation has no image service to look the image up in.", { reason: "image.service" })),
};

/**
 * The image a version or a rebuild names; 400 when there is none (contract §4.2), and where it carries another
 * engine, or another line of it, than is to run: no server could ever be built from the two.
 */
export async function demandImage(images: Images, wanted: { id: string } | { tags: string[] }, { manager, version }: { manager: string; version: string }): Promise<Image> {
  const image = await images.find(wanted);
  const named = "id" in wanted ? `Image ${wanted.id}` : `An image with the tags ${wanted.tags.map((tag) => `'${tag}'`).join(", ")}`;
  if (!image) throw badRequest(`${named} cannot be found.`, { reason: "image.unknown" });
  const { carries } = image;
  if (carries && (carries.manager !== manager || lineOf(carries.manager, carries.version) !== lineOf(manager, version))) {
    throw badRequest(`${named} carries ${carries.manager} ${carries.version}, not ${manager} ${version}.`, { reason: "image.mismatch" });
  }
  return image;
}
