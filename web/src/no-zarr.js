// Stands for zarrita: NiiVue's reader of images that other machines serve in pieces. No page reads them, and its codecs are 1.4 MB.

export {};
